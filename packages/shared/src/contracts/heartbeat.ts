import { z } from 'zod';
import { shardIdSchema } from './assignment.ts';

const ms = z.number().min(0);
const count = z.int().min(0);

/** A client that reads `/metrics`: remote address and user agent. Times are on the sending worker's clock. */
export const scraperSchema = z.object({
  id: z.string().max(200),
  /** Start of the newest completed scrape, ms since the epoch. */
  lastStart: ms,
  /** End of the newest completed scrape, ms since the epoch. */
  lastEnd: ms,
  /** Whether it says that it is a scraper, as Prometheus does; absent: the worker does not look at that yet. */
  announced: z.boolean().optional(),
  /**
   * Longest time between the starts of its newest scrapes, ms: how often it comes. Absent until that is known: for one
   * that announces itself after five scrapes, for another one after two.
   */
  intervalMs: ms.optional(),
});

/**
 * Progress of one migration at this worker.
 * target: `warming` -> `acknowledged` (everything is in the exporter's exposition), or `failed`.
 * source: `releasing` -> `released`. `released` and `failed` are reported for as long as the assignment names the
 * migration.
 */
export const handoverSchema = z.object({
  migration: z.string().min(1).max(63),
  role: z.enum(['target', 'source']),
  state: z.enum(['warming', 'acknowledged', 'failed', 'releasing', 'released']),
  /** When the exposition was complete, ms on this worker's clock; targets only. */
  acknowledgedAt: ms.optional(),
  /** Objects of the moving slots, over all feeds. */
  objects: count,
  /** Kinds that the slots go without, because they cannot be read now (`unavailable`). */
  without: count.optional(),
  error: z.string().max(500).optional(),
});

/** Most kinds that are named as unavailable; `total` counts all. */
export const MAX_UNAVAILABLE = 16;

/** A kind that a worker cannot read now, although the API server is well otherwise. */
export const unavailableKindSchema = z.object({
  /** `pods`, `widgets.example.com`. */
  kind: z.string().max(120),
  cause: z.enum(['forbidden', 'unauthorized', 'not-served', 'failing', 'silent']),
  /** The API server's own sentence, and what a person can do. */
  message: z.string().max(500),
  /** ms on this worker's clock. */
  since: ms,
  /** It can be read again, and is being loaded. */
  mending: z.boolean().optional(),
});

/** A worker's whole state, level-triggered: losing any number of them loses nothing. Below 64 KiB. */
export const heartbeatSchema = z.object({
  v: z.literal('shard.heartbeat.v1'),
  /** uid of the ShardConfig. */
  uid: z.string().min(1).max(64),
  shardId: shardIdSchema,
  replica: z.enum(['a', 'b']),
  pod: z.string().max(253),
  node: z.string().max(253),
  /** Random per process start. */
  boot: z.string().max(64),
  /** Rises by one with each heartbeat of a boot. */
  sequence: count,
  /** Worker's clock, ms since the epoch. */
  sentAt: ms,
  /** Revision of the pod template this worker runs, label `shard.io/revision`. */
  revision: z.string().max(63),
  phase: z.enum(['Pending', 'Warming', 'Running', 'Draining', 'Failed', 'Terminated']),
  /** Assignment in force; 0/0 when there is none yet. */
  generation: count,
  epoch: count,
  /** Set while a newer assignment was refused, with the reason. */
  refused: z.object({ generation: count, epoch: count, reason: z.string().max(500) }).optional(),
  feeds: z.object({ synced: count, total: count, oldestProofMs: ms }),
  exporter: z.object({ state: z.enum(['starting', 'running', 'unreachable']), since: ms }),
  gateway: z.object({
    state: z.enum(['warming', 'serving', 'fenced', 'standby', 'draining']),
    reason: z.string().max(200),
    /** `warming` only until the exporter has started over: scrapes are held back meanwhile, longer than otherwise. */
    startsOver: z.boolean().optional(),
    scrapers: z.array(scraperSchema).max(64),
    /** Start of the first scrape that this process completed, ms on its clock; absent before that. */
    readSince: ms.optional(),
  }),
  /** What is wrong although everything looks well, for people: deaf feeds, an exposition that lacks objects. */
  note: z.string().max(500).optional(),
  /** Kinds that cannot be read now: what the exporter showed of them stays, moved slots go without them. */
  unavailable: z.object({ total: count, kinds: z.array(unavailableKindSchema).max(MAX_UNAVAILABLE) }).optional(),
  /**
   * Slots of `hashRanges`, and how many of them are acknowledged by the exporter. `shown`: how many a scrape shows, also
   * where an exporter that was there before this process has yet to acknowledge them.
   */
  slots: z.object({ assigned: count, acknowledged: count, shown: count.optional() }),
  load: z.object({
    objects: count,
    /** Size of the newest complete exposition, bytes. */
    expositionBytes: count,
    /** Resident memory of worker and exporter, bytes. */
    memoryBytes: count,
    scrapeDurationMs: ms,
    /** Events waiting for the exporter, over all subscriptions. */
    queueDepth: count,
    /** Objects per resource, `pods: 1234`. */
    objectsByResource: z.record(z.string().max(120), count),
    /** Size of the exposed objects as they were sent to the exporter, bytes. */
    objectBytes: count.optional(),
    /** Live events of the exposed objects, smoothed over about a minute, bytes per second. */
    churnBytesPerSecond: count.optional(),
  }),
  handovers: z.array(handoverSchema).max(256),
});

export type Heartbeat = z.infer<typeof heartbeatSchema>;
export type Handover = z.infer<typeof handoverSchema>;
export type UnavailableKind = z.infer<typeof unavailableKindSchema>;
export type Scraper = z.infer<typeof scraperSchema>;
