import { z } from 'zod';
import { hashRangeSchema, shardIdSchema } from './assignment.ts';

/**
 * Questions to the leading manager over NATS request/reply, and its answers. `shard.inspect.v1.<endpoint>` is answered by
 * every leading manager that uses this NATS; `shard.inspect.v1.<namespace>.<endpoint>` by the one of that namespace, and
 * by "no responders" when there is none.
 */

export const INSPECTION_PREFIX = 'shard.inspect.v1';
export const INSPECTION_SERVICE = 'shard-inspect';

const name = z.string().min(1).max(63);
const ms = z.number().min(0);
const slot = z.int().min(0).max(4095);
const count = z.int().min(0);

const page = {
  /** Items to skip: `next` of the answer before. */
  offset: count.optional(),
  /** Most items of one answer; fewer come when they do not fit into a message. */
  limit: z.int().min(1).max(500).optional(),
};
const selection = {
  /** Only the ShardConfig of this name. */
  config: name.optional(),
};

/** What each endpoint may be asked; an empty request asks for everything. */
export const inspectionQueries = {
  status: z.strictObject({ ...selection, ...page }),
  shards: z.strictObject({ ...selection, ...page, shard: shardIdSchema.optional() }),
  where: z.strictObject({
    ...selection,
    /** uid of an object. */
    uid: z.string().min(1).max(128).optional(),
    /** Namespace of an object; asked for where a ShardConfig shards by namespace. '' for a cluster-scoped object. */
    objectNamespace: z.string().max(63).optional(),
    /** Top 32 bits of an object's hash. */
    hash: z.int().min(0).max(0xffff_ffff).optional(),
    slot: slot.optional(),
  }),
  plan: z.strictObject({
    ...selection,
    /** Number of shards to plan for; the present one when absent. */
    shards: z.int().min(1).max(1000).optional(),
    strategy: z.string().min(1).max(63).optional(),
  }),
  explain: z.strictObject({
    config: name,
    /** Sequence of a decision: its events in full. */
    sequence: z.int().min(1).optional(),
    /** Id of a migration: what happened to it, step by step. */
    migration: z.string().min(1).max(63).optional(),
    ...page,
  }),
  events: z.strictObject({
    config: name.optional(),
    /** Sequence from which on decisions are listed; the newest ones when absent. */
    from: z.int().min(1).optional(),
    limit: z.int().min(1).max(500).optional(),
  }),
} as const;

export type InspectionEndpoint = keyof typeof inspectionQueries;
export type InspectionQuery<E extends InspectionEndpoint> = z.infer<(typeof inspectionQueries)[E]>;

const config = { namespace: z.string(), config: z.string() };

const migrationSchema = z.object({
  id: z.string(),
  cause: z.string(),
  source: z.string(),
  target: z.string(),
  step: z.string(),
  committed: z.boolean(),
  slots: count,
  /** ms since the epoch. */
  plannedAt: ms,
  deadline: ms.nullable(),
});

/** Most migrations that a status names; `openMigrations` counts all. */
export const MAX_MIGRATIONS_NAMED = 40;

const statusItem = z.object({
  ...config,
  uid: z.string(),
  /** Whether the log has been read; the rest is absent while it has not. */
  known: z.boolean(),
  /** Why nothing is decided. */
  blocked: z.object({ reason: z.string(), message: z.string() }).optional(),
  generation: count.optional(),
  /** Sequence of the newest decision. */
  sequence: count.optional(),
  mode: z.string().optional(),
  strategy: z.string().optional(),
  desiredShards: count.optional(),
  /** Shards by health. */
  shards: z.record(z.string(), count).optional(),
  slots: count.optional(),
  unownedSlots: count.optional(),
  revision: z.string().optional(),
  openMigrations: count.optional(),
  migrations: z.array(migrationSchema).optional(),
  rollout: z.unknown().optional(),
  failover: z.unknown().optional(),
  lastDecision: z.object({ type: z.string(), at: ms, reason: z.string() }).nullable().optional(),
  /** Equal for equal states: what the log folds to, and what this manager decides from. */
  stateDigest: z.string().optional(),
});

const shardItem = z.object({
  ...config,
  shard: z.string(),
  /** Replica that serves. */
  active: z.enum(['a', 'b']),
  health: z.string(),
  /** Of its health, ms since the epoch. */
  since: ms,
  revision: z.string(),
  draining: z.boolean(),
  epoch: count,
  slots: count,
  /** Slots that are on their way to it, and away from it. */
  arriving: count,
  leaving: count,
  /** Slots that it lost and may still expose. */
  stale: count,
  /** Objects that its exporter shows; absent while its worker is not heard. */
  objects: count.optional(),
  hashRanges: z.array(hashRangeSchema).optional(),
});

const whereItem = z.object({
  ...config,
  slot,
  shard: z.string().nullable(),
  /** Worker pod that serves it. */
  pod: z.string().nullable(),
  /** Since when that shard is responsible, ms since the epoch; absent when that is before what was read of the log. */
  since: ms.optional(),
  /** Decision behind it. */
  sequence: count.optional(),
  why: z.string().optional(),
  /** Where it is going, while it moves. */
  migration: migrationSchema.optional(),
});

const planItem = z.object({
  ...config,
  from: count,
  to: count,
  strategy: z.string(),
  slots: count,
  /** Slots that would move, and how few any balanced plan could do with. */
  moved: count,
  minimum: count,
  /** Objects in those slots, estimated from what each source holds; absent where a source is not heard. */
  objects: count.optional(),
  moves: z.array(z.object({ source: z.string().nullable(), target: z.string(), slots: count })),
  /** How long the newest completed moves took, ms; absent when there was none. */
  lastMovesMs: z.object({ moves: count, median: ms, longest: ms }).optional(),
  /** Why nothing would move now, although it would by balance alone. */
  blocked: z.string().optional(),
});

const decisionItem = z.object({
  ...config,
  sequence: count,
  at: ms,
  /** Which manager decided, in which term. */
  manager: z.object({ identity: z.string(), term: count }),
  command: z.string(),
  reason: z.string(),
  /** In words, one per event. */
  says: z.array(z.string()),
  /** Types of its events, or the whole events when it is explained. */
  events: z.array(z.union([z.string(), z.looseObject({ type: z.string() })])),
});

const answerOf = <T extends z.ZodType>(item: T) =>
  z.object({
    /** Process that answers, as in the Lease. */
    manager: z.string(),
    /** ms since the epoch. */
    at: ms,
    items: z.array(item),
    /** Ask again with this `offset` (`from` for events) for what comes after. */
    next: count.optional(),
  });

export const inspectionAnswers = {
  status: answerOf(statusItem),
  shards: answerOf(shardItem),
  where: answerOf(whereItem),
  plan: answerOf(planItem),
  explain: answerOf(decisionItem),
  events: answerOf(decisionItem),
} as const;

export type InspectionAnswer<E extends InspectionEndpoint> = z.infer<(typeof inspectionAnswers)[E]>;
export type InspectionItem<E extends InspectionEndpoint> = InspectionAnswer<E>['items'][number];
