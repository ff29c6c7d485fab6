import { z } from 'zod';

const ms = z.int().min(0);

/**
 * What a ShardConfig's spec says about decisions, normalised: defaults filled in, durations in ms. The shell derives it
 * from the spec; a change becomes the command `ConfigObserved`. It is stored in events, so fields are only ever added,
 * with a default.
 */
export const settingsSchema = z.strictObject({
  /**
   * Auto: the number of shards follows the load. Manual: it is `shards`. Paused: no scaling, no rebalancing and no
   * rollout; failover, and moving slots off a terminating worker, continue, because stopping them would lose series.
   */
  mode: z.enum(['Auto', 'Manual', 'Paused']),
  /** Wanted shards in mode Manual; `minShards` and `maxShards` still win. */
  shards: z.int().min(0).optional(),
  minShards: z.int().min(1),
  maxShards: z.int().min(1),
  replicasPerShard: z.int().min(1).max(2),
  /** Immutable. */
  slotCount: z.int().min(64).max(4096),
  /** Immutable. */
  shardBy: z.enum(['uid', 'namespace']),
  /** Name of a load-balancing strategy; an unknown one makes `decide` answer with `shard.config.rejected.v1`. */
  strategy: z.string().min(1),
  /** Load (0 to 1 and more) above which shards are added. */
  scaleUpThreshold: z.number().min(0),
  /** Load below which shards are removed. */
  scaleDownThreshold: z.number().min(0),
  capacity: z.strictObject({
    /** Objects that make load 1.0 of one shard. */
    objects: z.int().min(1),
  }),
  scaling: z.strictObject({
    /** How long the load must stay past a threshold before it counts. */
    sustainedMs: ms,
    scaleUpCooldownMs: ms,
    scaleDownCooldownMs: ms,
    /** Most shards that one decision adds or removes. */
    maxStep: z.int().min(1),
  }),
  rebalance: z.strictObject({
    /** Most migrations between Preparation and Cleanup at a time; the others wait in Planning. */
    maxConcurrentMigrations: z.int().min(1),
  }),
  handover: z.strictObject({
    /** A scraper that completed a scrape of the source within this time is waited for. */
    scraperTtlMs: ms,
    /** Longest time both shards expose a verified slot while scrapers move over; then the source releases anyway. */
    maxOverlapMs: ms,
    /** Until the target reports that it is warming. */
    preparationTimeoutMs: ms,
    /** Until the target's exporter has acknowledged everything. */
    transferTimeoutMs: ms,
    /** Until both sides have answered for a common position. */
    verificationTimeoutMs: ms,
  }),
  rollout: z
    .strictObject({
      /** A rolling update that makes no progress for this long is said to be stalled, and lets go of what waits for it. */
      deadlineMs: ms,
    })
    .default({ deadlineMs: 600_000 }),
  health: z.strictObject({
    /** `healthCheckInterval`: Suspect after about one of it silent, Failed after two with a positive signal. */
    intervalMs: z.int().min(100),
  }),
  failover: z.strictObject({
    /** This many failed shards within `massWindowMs`, and at least this share of all, are a mass failure. */
    massMinimum: z.int().min(2),
    massFraction: z.number().min(0).max(1),
    massWindowMs: ms,
    /** Longest time that the rest of a mass failover waits for capacity. */
    massHoldMs: ms,
    /** How long a slot stays with a shard whose pod is starting. */
    startGraceMs: ms,
    /** The same when the healthy shards have room for it. */
    startGraceWithRoomMs: ms,
  }),
});

export type Settings = z.infer<typeof settingsSchema>;

/** The settings of a ShardConfig that states nothing but its name. Tests and the shell start from them. */
export const defaultSettings: Settings = {
  mode: 'Auto',
  minShards: 1,
  maxShards: 10,
  replicasPerShard: 1,
  slotCount: 256,
  shardBy: 'uid',
  strategy: 'consistent-hash',
  scaleUpThreshold: 0.8,
  scaleDownThreshold: 0.3,
  capacity: { objects: 20_000 },
  scaling: { sustainedMs: 60_000, scaleUpCooldownMs: 120_000, scaleDownCooldownMs: 300_000, maxStep: 2 },
  rebalance: { maxConcurrentMigrations: 16 },
  handover: {
    scraperTtlMs: 300_000,
    maxOverlapMs: 120_000,
    preparationTimeoutMs: 30_000,
    transferTimeoutMs: 120_000,
    verificationTimeoutMs: 60_000,
  },
  rollout: { deadlineMs: 600_000 },
  health: { intervalMs: 2_000 },
  failover: {
    massMinimum: 2,
    massFraction: 0.4,
    massWindowMs: 10_000,
    massHoldMs: 60_000,
    startGraceMs: 60_000,
    startGraceWithRoomMs: 10_000,
  },
};
