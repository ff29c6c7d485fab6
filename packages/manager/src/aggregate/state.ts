import type { Replica, ShardId } from '@shard-controller/shared/contracts';
import type { SlotIndex } from '@shard-controller/shared/hashing';
import type { Settings } from './settings.ts';

/**
 * State of one ShardConfig (the aggregate, by uid), folded from its events by `evolve`. Plain JSON, never mutated.
 * All times are ms since the epoch on the deciding manager's clock, unless a field says otherwise.
 */

export type { ShardId, SlotIndex };
/** Also the `migration` of warm and release ranges: `g1-m12` for a migration, `g1-r13` for the release of lost slots. */
export type MigrationId = string;

/** Removed is not stored: a removed shard is absent. */
export type Health = 'Pending' | 'Healthy' | 'Suspect' | 'Failed' | 'Recovering';

export interface ShardState {
  readonly shardId: ShardId;
  readonly ordinal: number;
  /** The replica that serves; health, revision and draining are this one's. */
  readonly active: Replica;
  readonly health: Health;
  /** When `health` last changed. */
  readonly since: number;
  /** Template revision that its worker last reported; '' before the first heartbeat. */
  readonly revision: string;
  /** Its worker got SIGTERM: slots move away, none move to it. */
  readonly draining: boolean;
  /** It has been responsible for slots before; tells a resize from a recovery. */
  readonly hasServed: boolean;
  /** Slots that it lost and may still expose, or null. */
  readonly stale: LostSlots | null;
  /**
   * Sequence of the event that last changed this shard's assignment: the epoch of its `Assignment`.
   */
  readonly epoch: number;
}

/** Slots whose shard was believed lost, or never reported that it had released them. */
export interface LostSlots {
  /** Under this id it has to release those that are not kept, until it reports `released` for it. */
  readonly id: MigrationId;
  /** All of them, ascending. */
  readonly slots: readonly SlotIndex[];
  /** Those of them that it keeps exposing, because their new owner does not show them yet. Ascending. */
  readonly kept: readonly SlotIndex[];
}

export type MigrationCause = 'resize' | 'rebalance' | 'rollout' | 'drain' | 'recovery';
type MigrationStep = 'Planning' | 'Preparation' | 'Transfer' | 'Verification' | 'Cleanup';

/** An open migration; closed ones live in the log only. */
export interface MigrationState {
  readonly id: MigrationId;
  readonly cause: MigrationCause;
  readonly source: ShardId;
  readonly target: ShardId;
  /** Ascending. */
  readonly slots: readonly SlotIndex[];
  /**
   * Planning: waits for its turn, no worker knows of it. Preparation: the target has the slots in `warmRanges`. Transfer: the
   * target reports `warming`. Verification: the target acknowledged; the shell asks both sides and answers with
   * `VerificationFinished`. Cleanup: verified; the shell waits for scrapers and answers with `ScrapersMoved`; once
   * `committed` the target owns the slots, the source has them in `releaseRanges`, and its `released` ends it; past the
   * deadline it ends without, and the source's `stale` remembers what it has to release.
   */
  readonly step: MigrationStep;
  readonly committed: boolean;
  /** Committed because the source is lost: it is not told to release, since the target may not show the slots yet. */
  readonly sourceLost: boolean;
  readonly plannedAt: number;
  /** When the present step times out; Infinity is never stored: null is "no deadline". */
  readonly deadline: number | null;
  /** When the target's exposition was complete, ms on the target worker's clock; scrapes must begin after it. */
  readonly acknowledgedAt: number | null;
}

export interface RolloutState {
  readonly startedAt: number;
  /** What it rolls out. Once it is the state's `template` it is proved, and serving workers may be replaced. */
  readonly revision: string;
  /** Extra worker outside `maxShards`. */
  readonly surge: ShardId;
  /** `desiredShards` when slots began to move. */
  readonly shards: number;
  /** Shard whose pod is being replaced, or null. It exposes nothing and gets nothing until it is back. */
  readonly replacing: ShardId | null;
  /** When it last got on. */
  readonly progressAt: number;
}

/** A rolling update that got no further and let go of what it held up. */
interface StalledRollout {
  readonly revision: string;
  readonly at: number;
  /** Shards that did not come back; it begins again when they have. Without any it begins again after a while. */
  readonly shards: readonly ShardId[];
  readonly reason: string;
}

/** After a rolled-back migration none is planned from `source` to `target` before `until`. */
export interface Backoff {
  readonly source: ShardId;
  readonly target: ShardId;
  /** In a row. */
  readonly failures: number;
  readonly until: number;
  /** Why the newest one was. */
  readonly reason: string;
}

export type LoadBand = 'above' | 'within' | 'below';

interface ScalingState {
  /** Where the load is relative to the two thresholds, and since when. */
  readonly band: LoadBand;
  readonly bandSince: number;
  readonly lastScaleAt: number;
}

interface FailoverState {
  /** Failures of shards that owned slots, newest last, within the mass-failure window of the newest. */
  readonly recent: readonly { readonly shardId: ShardId; readonly at: number }[];
  /** Set while a mass failure holds the failover back. */
  readonly held: { readonly since: number; readonly until: number; readonly shards: readonly ShardId[] } | null;
}

export interface LastDecision {
  readonly type: string;
  readonly at: number;
  readonly reason: string;
}

export interface ShardConfigState {
  readonly uid: string;
  readonly namespace: string;
  readonly name: string;
  /** Incarnation of the log; 1 for the first. */
  readonly generation: number;
  /** JetStream sequence of the last folded event; 0 before the first. Also the expected sequence of the next append. */
  readonly sequence: number;
  /** null until the first `shard.config.accepted.v1`. */
  readonly settings: Settings | null;
  readonly specGeneration: number;
  /** Why the newest spec is not in force, or null. */
  readonly rejected: { readonly specGeneration: number; readonly problems: readonly string[] } | null;
  readonly deleted: boolean;
  /** Wanted revision of the worker template. */
  readonly revision: string;
  /**
   * Revision that the StatefulSets make pods from: a newer wanted one comes in only when it is proved. '' = whatever
   * they have, because the log was lost.
   */
  readonly template: string;
  readonly createdAt: number;
  readonly desiredShards: number;
  readonly shards: Readonly<Record<ShardId, ShardState>>;
  /** Responsible shard by slot; null = explicitly unassigned. Empty before the first config. */
  readonly owners: readonly (ShardId | null)[];
  readonly migrations: Readonly<Record<MigrationId, MigrationState>>;
  /** Number of the next migration or release id. */
  readonly nextMigration: number;
  /** Pairs of shards between which migrations were rolled back of late, by `pairOf`. */
  readonly backoffs: Readonly<Record<string, Backoff>>;
  readonly rollout: RolloutState | null;
  readonly stalledRollout: StalledRollout | null;
  readonly scaling: ScalingState;
  readonly failover: FailoverState;
  /** Set when the log was rebuilt from ShardInstances; kept for the condition. */
  readonly recovered: { readonly at: number; readonly reason: string } | null;
  readonly lastDecision: LastDecision | null;
}

/** The state before any event. */
export const initialState: ShardConfigState = {
  uid: '',
  namespace: '',
  name: '',
  generation: 1,
  sequence: 0,
  settings: null,
  specGeneration: 0,
  rejected: null,
  deleted: false,
  revision: '',
  template: '',
  createdAt: 0,
  desiredShards: 0,
  shards: {},
  owners: [],
  migrations: {},
  nextMigration: 1,
  backoffs: {},
  rollout: null,
  stalledRollout: null,
  scaling: { band: 'within', bandSince: 0, lastScaleAt: 0 },
  failover: { recent: [], held: null },
  recovered: null,
  lastDecision: null,
};

export const shardIdOf = (ordinal: number): ShardId => `shard-${String(ordinal).padStart(3, '0')}`;

/** Name of the direction from one shard to another. */
export const pairOf = (source: ShardId, target: ShardId): string => `${source}>${target}`;

/**
 * The surge worker of a rolling update: beyond every ordinal that a regular shard may have, so that the number of shards
 * can change while it is there.
 */
export const SURGE_ORDINAL = 1000;
export const SURGE: ShardId = shardIdOf(SURGE_ORDINAL);

export const ordinalOf = (shardId: ShardId): number => Number(shardId.slice('shard-'.length));

/** A shard whose worker has not been heard yet. */
export function pendingShard(shardId: ShardId, since: number): ShardState {
  return {
    shardId,
    ordinal: ordinalOf(shardId),
    active: 'a',
    health: 'Pending',
    since,
    revision: '',
    draining: false,
    hasServed: false,
    stale: null,
    epoch: 0,
  };
}
