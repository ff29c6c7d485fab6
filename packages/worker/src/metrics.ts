import type { Metrics } from '@shard-controller/shared/observability';
import type { AssignmentSource, Outcome } from './assignment/index.ts';
import type { FeedReport } from './data-plane/index.ts';
import type { GatewayReports, ScrapeOutcome } from './exporter/index.ts';
import type { DataPlaneMetrics } from './feed/follow/index.ts';
import type { HeartbeatOutcome, WorkerSnapshot } from './heartbeat-manager/index.ts';

/** What the worker counts about itself; the exporter's series are not among it. */
export interface WorkerMetrics extends Pick<GatewayReports, 'scrape' | 'held'> {
  offer(source: AssignmentSource, outcome: Outcome): void;
  heartbeat(outcome: HeartbeatOutcome): void;
  statusWrite(outcome: 'written' | 'failed'): void;
  stall(): void;
}

/** State that is read at the moment of a scrape. */
export interface WorkerGauges {
  readonly snapshot: () => WorkerSnapshot;
  readonly feeds: () => readonly FeedReport[];
  readonly totals: () => { readonly churn: number };
  /** Series less objects, by resource, where a mismatch was seen. */
  readonly mismatches: () => ReadonlyMap<string, number>;
  readonly natsConnected: () => boolean;
  readonly isolated: () => boolean;
}

const P = 'shard_controller_worker_';

/** Resources that have a label value of their own; the exporter may name any in a path. */
const MAX_RESOURCES = 200;
const MAX_CAUSES = 40;

/** Registers the worker's own metrics, `shard_controller_worker_*`. */
export function workerMetrics(metrics: Metrics, gauges: WorkerGauges): WorkerMetrics {
  registerGauges(metrics, gauges);
  const scrapes = metrics.counter<'outcome'>({
    name: `${P}scrapes_total`,
    help: 'Scrapes of /metrics by outcome: complete, not_open, exporter_unreachable, exporter_error, cut, client_gone, too_many.',
    labelNames: ['outcome'],
  });
  const outcomes: readonly ScrapeOutcome[] = ['complete', 'not_open', 'exporter_unreachable', 'cut'];
  for (const outcome of outcomes) scrapes.inc({ outcome }, 0);
  const duration = metrics.histogram({
    name: `${P}scrape_duration_seconds`,
    help: 'Duration of complete scrapes, from the request to the last byte, delays included.',
    buckets: [0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 30],
  });
  const holds = metrics.histogram({
    name: `${P}scrape_hold_seconds`,
    help: 'Time that scrapes waited for a complete exposition.',
    buckets: [0.05, 0.1, 0.25, 0.5, 1, 2, 4, 8],
  });
  const offers = metrics.counter<'source' | 'verdict'>({
    name: `${P}assignments_total`,
    help: 'Assignments in the ShardInstance by the verdict of the fence (accepted, current, older, refused, invalid), and notices of assignments on NATS: current, confirmed or unconfirmed by the ShardInstance, invalid.',
    labelNames: ['source', 'verdict'],
  });
  const heartbeats = metrics.counter<'outcome'>({
    name: `${P}heartbeats_total`,
    help: 'Heartbeats by outcome: sent, not_connected (to NATS), failed.',
    labelNames: ['outcome'],
  });
  const writes = metrics.counter<'outcome'>({
    name: `${P}status_writes_total`,
    help: 'Writes of the ShardInstance status by outcome: written, failed.',
    labelNames: ['outcome'],
  });
  const stalls = metrics.counter({
    name: `${P}stalls_total`,
    help: 'Number of times that this process did not run for more than 3 s, or that the clock jumped.',
  });
  return {
    scrape: (outcome, seconds) => {
      scrapes.inc({ outcome });
      if (outcome === 'complete') duration.observe(seconds);
    },
    held: (seconds) => holds.observe(seconds),
    offer: (source, verdict) => offers.inc({ source, verdict }),
    heartbeat: (outcome) => heartbeats.inc({ outcome }),
    statusWrite: (outcome) => writes.inc({ outcome }),
    stall: () => stalls.inc(),
  };
}

function registerGauges(metrics: Metrics, gauges: WorkerGauges): void {
  const { snapshot, natsConnected, isolated, totals } = gauges;
  const values: readonly (readonly [name: string, help: string, value: () => number])[] = [
    ['feeds', 'Feeds from the API server.', () => snapshot().dataPlane.feeds.total],
    ['feeds_synced', 'Feeds that are open and complete.', () => snapshot().dataPlane.feeds.synced],
    [
      'feeds_oldest_proof_seconds',
      'Time since the stalest feed was last proved complete.',
      () => snapshot().dataPlane.feeds.oldestProofMs / 1000,
    ],
    [
      'feeds_stale',
      'Feeds that nothing has proved complete for 12 s; their objects may be out of date.',
      () => snapshot().dataPlane.staleFeeds?.length ?? 0,
    ],
    [
      'churn_bytes_per_second',
      'Live events written to the exporter, smoothed over about a minute.',
      () => totals().churn,
    ],
    ['slots_assigned', 'Slots that this worker is responsible for.', () => snapshot().dataPlane.slots.assigned],
    [
      'slots_acknowledged',
      'Assigned slots that the exporter shows completely.',
      () => snapshot().dataPlane.slots.acknowledged,
    ],
    [
      'slots_exposed',
      'Slots that the exporter shows: owned, warm or not yet released.',
      () => snapshot().dataPlane.exposedSlots,
    ],
    [
      'slots_kept',
      'Exposed slots that the assignment dropped without a release.',
      () => snapshot().dataPlane.keptSlots ?? 0,
    ],
    ['queue_depth', 'Events waiting for the exporter.', () => snapshot().dataPlane.queueDepth],
    ['exposition_bytes', 'Size of the newest complete exposition.', () => snapshot().exposition.bytes],
    ['assignment_epoch', 'Epoch of the assignment in force; 0 for none.', () => snapshot().assignment?.epoch ?? 0],
    [
      'assignment_generation',
      'Generation of the assignment in force; 0 for none.',
      () => snapshot().assignment?.generation ?? 0,
    ],
    ['assignment_refused', '1 while a newer assignment is refused.', () => Number(snapshot().refusal !== undefined)],
    ['gateway_open', '1 while the gateway answers scrapes.', () => Number(snapshot().gateway.open)],
    ['exporter_up', '1 while the exporter answers.', () => Number(snapshot().exporter.state === 'running')],
    ['nats_connected', '1 while connected to NATS.', () => Number(natsConnected())],
    ['isolated', '1 while neither the API server nor NATS can be reached.', () => Number(isolated())],
    ['draining', '1 after SIGTERM.', () => Number(snapshot().draining)],
  ];
  for (const [name, help, value] of values) {
    metrics.gauge({
      name: `${P}${name}`,
      help,
      collect() {
        this.set(value());
      },
    });
  }
  registerResourceGauges(metrics, gauges);
}

/** Gauges with the label `resource`: sums over its feeds, or the worst of them. */
function registerResourceGauges(metrics: Metrics, { snapshot, feeds, mismatches }: WorkerGauges): void {
  const label = bounded(MAX_RESOURCES);
  const gauge = (name: string, help: string, values: () => Iterable<readonly [resource: string, value: number]>) =>
    metrics.gauge<'resource'>({
      name: `${P}${name}`,
      help,
      labelNames: ['resource'],
      collect() {
        this.reset();
        for (const [resource, value] of values()) this.set({ resource: label(resource) }, value);
      },
    });
  const worst = (of: (feed: FeedReport) => number) => () => fold(feeds(), of, Math.max);
  const sum = (of: (feed: FeedReport) => number) => () => fold(feeds(), of, (a, b) => a + b);
  gauge('objects', 'Objects exposed, by resource.', () => Object.entries(snapshot().dataPlane.objectsByResource));
  gauge('kind_unavailable', '1 for each kind that cannot be read while others can; slots move without it.', () =>
    (snapshot().dataPlane.unavailable ?? []).map(({ kind }) => [kind, 1] as const),
  );
  gauge(
    'feed_proof_age_seconds',
    'Time since the feed was last proved complete.',
    worst(({ proofAgeMs }) => proofAgeMs / 1000),
  );
  gauge(
    'feed_silence_seconds',
    'Time since the watch last received bytes; a bookmark arrives about every minute.',
    worst(({ silenceMs }) => silenceMs / 1000),
  );
  gauge(
    'objects_known',
    'Objects in the index, including those of other shards.',
    sum(({ known }) => known),
  );
  gauge(
    'object_bytes',
    'Size of the exposed objects as sent to the exporter.',
    sum(({ sentBytes }) => sentBytes),
  );
  gauge(
    'feed_queue_frames',
    'Events waiting for the exporter.',
    sum(({ queuedFrames }) => queuedFrames),
  );
  gauge(
    'feed_queue_bytes',
    'Size of the events waiting for the exporter.',
    sum(({ queuedBytes }) => queuedBytes),
  );
  gauge(
    'exposition_mismatch',
    'Series of one-per-object metrics in the exposition minus the objects sent; set only for a resource where the two differed twice.',
    mismatches,
  );
}

function fold(
  feeds: readonly FeedReport[],
  of: (feed: FeedReport) => number,
  join: (a: number, b: number) => number,
): Map<string, number> {
  const values = new Map<string, number>();
  for (const feed of feeds) {
    const before = values.get(feed.resource);
    values.set(feed.resource, before === undefined ? of(feed) : join(before, of(feed)));
  }
  return values;
}

/** Label values as they come, and `other` once there are too many different ones. */
function bounded(most: number): (value: string) => string {
  const known = new Set<string>();
  return (value) => {
    if (!known.has(value) && known.size < most) known.add(value);
    return known.has(value) ? value : 'other';
  };
}

/** Counters of the data plane, `shard_controller_worker_*`. */
export function dataPlaneMetrics(metrics: Metrics): DataPlaneMetrics {
  const frames = metrics.counter<'resource' | 'direction'>({
    name: `${P}frames_total`,
    help: 'Frames of lists and watches by direction: received from the API server, kept for the exporter.',
    labelNames: ['resource', 'direction'],
  });
  const cut = metrics.counter<'resource'>({
    name: `${P}diet_cut_bytes_total`,
    help: 'Bytes pruned from objects before the exporter gets them, because it does not read them.',
    labelNames: ['resource'],
  });
  const bytes = metrics.counter<'resource' | 'direction'>({
    name: `${P}bytes_total`,
    help: 'Bytes of lists and watches by direction: received from the API server, kept for the exporter.',
    labelNames: ['resource', 'direction'],
  });
  const relists = metrics.counter<'resource' | 'cause'>({
    name: `${P}relists_total`,
    help: 'Metadata lists that compared the index with the cluster, by cause.',
    labelNames: ['resource', 'cause'],
  });
  const loadFailures = metrics.counter<'resource' | 'cause'>({
    name: `${P}load_failures_total`,
    help: 'Lists that failed and were retried, by cause.',
    labelNames: ['resource', 'cause'],
  });
  const reconnects = metrics.counter<'resource' | 'cause'>({
    name: `${P}reconnects_total`,
    help: 'Watches that were opened again, by cause.',
    labelNames: ['resource', 'cause'],
  });
  const requests = metrics.counter<'resource'>({
    name: `${P}exporter_requests_total`,
    help: 'Requests of the exporter to its API endpoint, by resource; a settled exporter sends only new watches.',
    labelNames: ['resource'],
  });
  const pushdown = metrics.gauge<'resource'>({
    name: `${P}pushdown`,
    help: '1 if the worker asks the API server only for objects of the slots that it needs (KEP-5866), else 0.',
    labelNames: ['resource'],
  });
  const label = bounded(MAX_RESOURCES);
  const causeLabel = bounded(MAX_CAUSES);
  return {
    frames: (resource, received, kept) => {
      frames.inc({ resource: label(resource), direction: 'received' }, received);
      frames.inc({ resource: label(resource), direction: 'kept' }, kept);
    },
    bytes: (resource, received, kept) => {
      bytes.inc({ resource: label(resource), direction: 'received' }, received);
      bytes.inc({ resource: label(resource), direction: 'kept' }, kept);
    },
    cut: (resource, count) => cut.inc({ resource: label(resource) }, count),
    loadFailure: (resource, cause) => loadFailures.inc({ resource: label(resource), cause: causeLabel(cause) }),
    relist: (resource, cause) => relists.inc({ resource: label(resource), cause: causeLabel(cause) }),
    reconnect: (resource, cause) => reconnects.inc({ resource: label(resource), cause: causeLabel(cause) }),
    exporterRequest: (resource) => requests.inc({ resource: label(resource) }),
    pushdown: (resource, on) => pushdown.set({ resource: label(resource) }, on ? 1 : 0),
  };
}
