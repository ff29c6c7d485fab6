import { shardIdSchema } from '@shard-controller/shared/contracts';
import { z } from 'zod';
import { settingsSchema } from './settings.ts';

/**
 * The facts of one ShardConfig, in the order of its log. Those of one decision are stored as one message and share its
 * sequence. A released type is never changed: a new form gets a new version and an upcaster.
 */

/** Twice what a ShardConfig may want: surge workers, and shards that are leaving, come on top. */
const MAX_SHARDS = 2000;

const at = z.number().min(0);
const slot = z.int().min(0).max(4095);
const slots = z.array(slot).min(1).max(4096);
const id = z.string().min(1).max(63);
const reason = z.string().max(500);
const shardId = shardIdSchema;
const health = z.enum(['Pending', 'Healthy', 'Suspect', 'Failed', 'Recovering']);
const replica = z.enum(['a', 'b']);
const deadline = z.number().min(0);

/** A spec was accepted; the first one creates the aggregate. */
const configAccepted = z.strictObject({
  type: z.literal('shard.config.accepted.v1'),
  at,
  uid: z.string().min(1).max(64),
  namespace: z.string().min(1).max(63),
  name: z.string().min(1).max(40),
  specGeneration: z.int().min(0),
  settings: settingsSchema,
  /** Hash of the worker template that the spec gives. */
  revision: z.string().max(63),
});

/** A spec cannot be used; the last accepted one stays in force. */
const configRejected = z.strictObject({
  type: z.literal('shard.config.rejected.v1'),
  at,
  specGeneration: z.int().min(0),
  problems: z.array(z.string().max(500)).min(1).max(50),
});

const configDeleted = z.strictObject({ type: z.literal('shard.config.deleted.v1'), at });

/** The number of shards was decided. Shards up to it exist from now on; those beyond are emptied and removed. */
const scaled = z.strictObject({
  type: z.literal('shard.scaled.v1'),
  at,
  from: z.int().min(0),
  to: z.int().min(1),
  trigger: z.enum(['initial', 'minimum', 'maximum', 'manual', 'load']),
  /** Mean load over the shards, where it was the trigger. */
  load: z.number().min(0).optional(),
  reason,
});

/** The load went past a threshold, or back between them. */
const loadCrossed = z.strictObject({
  type: z.literal('shard.load.crossed.v1'),
  at,
  band: z.enum(['above', 'within', 'below']),
  load: z.number().min(0),
});

const healthChanged = z.strictObject({
  type: z.literal('shard.health.changed.v1'),
  at,
  shardId,
  from: health,
  to: health,
  /** What was seen, in words: `silent for 4.1 s`, `ping: no responders`. */
  evidence: z.array(reason).max(20),
});

/** A worker reports another template revision, or started or stopped draining. */
const shardReported = z.strictObject({
  type: z.literal('shard.reported.v1'),
  at,
  shardId,
  revision: z.string().max(63),
  draining: z.boolean(),
});

/** The pod of a shard that is no longer wanted is gone. */
const shardRemoved = z.strictObject({ type: z.literal('shard.removed.v1'), at, shardId });

/** The standby of a shard serves from now on, and what served is its standby. */
const standbyPromoted = z.strictObject({
  type: z.literal('shard.standby.promoted.v1'),
  at,
  shardId,
  from: replica,
  to: replica,
  /**
   * lost: it cannot be heard or cannot serve. terminating: its pod is being ended. outdated: it runs another template
   * than the wanted one. surplus: the shard no longer has a second replica.
   */
  cause: z.enum(['lost', 'terminating', 'outdated', 'surplus']),
  reason,
});

/**
 * When a shard that lost slots has to release them. Absent, as in events of earlier versions: at once. `shown`: when
 * their new owner shows them (`shard.slots.shown.v1`), so that a shard that was wrongly believed lost leaves no gap.
 */
const releaseWhen = z.literal('shown').optional();

/**
 * Slots get a responsible shard at once, without a migration: at the start, or because their shard is lost. What the
 * former owner may still expose is released by it under `release` when it is heard again.
 */
const slotsAssigned = z.strictObject({
  type: z.literal('shard.slots.assigned.v1'),
  at,
  cause: z.enum(['cold-start', 'failover', 'stalled-start']),
  moves: z
    .array(z.strictObject({ from: shardId.nullable(), to: shardId, slots }))
    .min(1)
    .max(4096),
  /** Release id for each former owner. */
  releases: z.array(z.strictObject({ shardId, id })).max(MAX_SHARDS),
  releaseWhen,
  reason,
});

/**
 * All slots that a shard is responsible for are in its exposition, and those who read it have read it since. Shards that
 * lost some of them and still expose them have to release them, each under its new release id.
 */
const slotsShown = z.strictObject({
  type: z.literal('shard.slots.shown.v1'),
  at,
  shardId,
  releases: z.array(z.strictObject({ shardId, id })).min(1).max(MAX_SHARDS),
});

/** Many shards failed at once; the rest of the failover waits. */
const failoverHeld = z.strictObject({
  type: z.literal('shard.failover.held.v1'),
  at,
  shards: z.array(shardId).min(1).max(MAX_SHARDS),
  until: deadline,
  reason,
});

/** The wait is over: capacity, time, or the shards came back. */
const failoverResumed = z.strictObject({ type: z.literal('shard.failover.resumed.v1'), at, reason });

/** A shard has let go of the slots it had lost. */
const releaseConfirmed = z.strictObject({ type: z.literal('shard.release.confirmed.v1'), at, shardId, id });

const migrationPlanned = z.strictObject({
  type: z.literal('shard.migration.planned.v1'),
  at,
  id,
  cause: z.enum(['resize', 'rebalance', 'rollout', 'drain', 'recovery']),
  source: shardId,
  target: shardId,
  slots,
  reason,
});

/** Planning -> Preparation: the target has to warm the slots. */
const migrationStarted = z.strictObject({ type: z.literal('shard.migration.started.v1'), at, id, deadline });

/** Preparation -> Transfer: the target is warming. */
const migrationTransferring = z.strictObject({ type: z.literal('shard.migration.transferring.v1'), at, id, deadline });

/** -> Verification: everything is in the target's exposition. */
const migrationAcknowledged = z.strictObject({
  type: z.literal('shard.migration.acknowledged.v1'),
  at,
  id,
  /** On the target worker's clock. */
  acknowledgedAt: z.number().min(0),
  objects: z.int().min(0),
  deadline,
});

/** Verification -> Cleanup: both sides hold the same objects; scrapers may move over until `deadline`. */
const migrationVerified = z.strictObject({
  type: z.literal('shard.migration.verified.v1'),
  at,
  id,
  deadline,
  detail: reason,
});

/** The one event that makes the target responsible and tells the source to release. */
const migrationCommitted = z.strictObject({
  type: z.literal('shard.migration.committed.v1'),
  at,
  id,
  because: z.enum(['scraped', 'overlap-expired', 'source-lost']),
  reason,
});

const migrationCompleted = z.strictObject({
  type: z.literal('shard.migration.completed.v1'),
  at,
  id,
  /** From planned to now. */
  durationMs: z.number().min(0),
  /** False when the source is gone: it releases under `release` when it is heard again. */
  released: z.boolean(),
  release: id.optional(),
  releaseWhen,
});

/** Given up before the commit: the source was never touched and keeps serving. */
const migrationRolledBack = z.strictObject({
  type: z.literal('shard.migration.rolledback.v1'),
  at,
  id,
  step: z.enum(['Planning', 'Preparation', 'Transfer', 'Verification', 'Cleanup']),
  reason,
  /** No migration is planned from its source to its target before this; `at` when neither shard caused the roll-back. */
  retryAt: deadline,
});

const rolloutStarted = z.strictObject({
  type: z.literal('shard.rollout.started.v1'),
  at,
  revision: z.string().max(63),
  surge: shardId,
  reason,
});

/**
 * The revision may reach the StatefulSets: a worker that runs it is ready, or there is none that it could harm.
 */
const rolloutProved = z.strictObject({
  type: z.literal('shard.rollout.proved.v1'),
  at,
  revision: z.string().max(63),
  /** The worker that proves it. */
  shardId: shardId.optional(),
  reason,
});

/**
 * It ended before every worker had the revision. superseded: another revision is wanted, or none has to be renewed any
 * more. resized: the number of shards has changed and comes first. standbys: the rest is done by renewing standbys.
 * stalled: it got no further for too long, and lets go of what waits for it.
 */
const rolloutEnded = z.strictObject({
  type: z.literal('shard.rollout.ended.v1'),
  at,
  revision: z.string().max(63),
  outcome: z.enum(['superseded', 'resized', 'standbys', 'stalled']),
  /** Stalled: shards that did not come back. */
  shards: z.array(shardId).max(20).optional(),
  reason,
});

/** This shard exposes nothing; its outdated pod is deleted. */
const rolloutReplacing = z.strictObject({ type: z.literal('shard.rollout.replacing.v1'), at, shardId, reason });

/** Every wanted worker has the wanted revision; the surge worker leaves. */
const rolloutCompleted = z.strictObject({
  type: z.literal('shard.rollout.completed.v1'),
  at,
  revision: z.string().max(63),
  durationMs: z.number().min(0),
  reason,
});

/** The log was lost, re-created or behind; state was rebuilt from the ShardInstances under a raised generation. */
const logRecovered = z.strictObject({
  type: z.literal('shard.log.recovered.v1'),
  at,
  uid: z.string().min(1).max(64),
  namespace: z.string().min(1).max(63),
  name: z.string().min(1).max(40),
  generation: z.int().min(1),
  specGeneration: z.int().min(0),
  settings: settingsSchema,
  revision: z.string().max(63),
  desiredShards: z.int().min(1),
  shards: z
    .array(
      z.strictObject({
        shardId,
        owned: z.array(slot).max(4096),
        /** Slots it may still expose though another shard is responsible. */
        stale: z.array(slot).max(4096),
        release: id,
        releaseWhen,
        /** Absent: a. */
        active: replica.optional(),
      }),
    )
    .max(MAX_SHARDS),
  reason,
});

export const shardEventSchema = z.discriminatedUnion('type', [
  configAccepted,
  configRejected,
  configDeleted,
  scaled,
  loadCrossed,
  healthChanged,
  shardReported,
  shardRemoved,
  standbyPromoted,
  slotsAssigned,
  slotsShown,
  failoverHeld,
  failoverResumed,
  releaseConfirmed,
  migrationPlanned,
  migrationStarted,
  migrationTransferring,
  migrationAcknowledged,
  migrationVerified,
  migrationCommitted,
  migrationCompleted,
  migrationRolledBack,
  rolloutStarted,
  rolloutProved,
  rolloutEnded,
  rolloutReplacing,
  rolloutCompleted,
  logRecovered,
]);

export type ShardEvent = z.infer<typeof shardEventSchema>;
type ShardEventType = ShardEvent['type'];
/** The event of one type. */
export type EventOf<T extends ShardEventType> = Extract<ShardEvent, { type: T }>;
