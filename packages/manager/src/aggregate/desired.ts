import type { Assignment, Replica } from '@shard-controller/shared/contracts';
import { assignedSlots, toAssignment } from './assignment.ts';
import type { ShardConfigState, ShardId, ShardState } from './state.ts';
import { isIdle, isOutdated, isWanted, replicasOf, shardsOf } from './view.ts';

/** One StatefulSet, `<config>-<replica>`. */
export interface DesiredStatefulSet {
  readonly replica: Replica;
  /** Pods: wanted shards, a surge worker, and shards that still expose something. */
  readonly replicas: number;
}

/** Pods to delete: they run another template than `unlessRevision`, and nothing is lost with them. Idempotent. */
export interface PodToDelete {
  readonly shardId: ShardId;
  readonly replica: Replica;
  /** A pod with this `shard.io/revision` label is spared. */
  readonly unlessRevision: string;
  /** A pod that is ready is spared: it may serve what its shard is responsible for. */
  readonly unlessReady: boolean;
  /** A pod that is ready goes only while every other worker pod is ready, too. */
  readonly whenOthersReady: boolean;
}

/** What the world should be. Level-triggered: the effects compare it with what they see and change the difference. */
export interface Desired {
  readonly statefulSets: readonly DesiredStatefulSet[];
  /** One per ShardInstance; ShardInstances of this ShardConfig that are not listed are to be deleted. */
  readonly assignments: readonly Assignment[];
  readonly podsToDelete: readonly PodToDelete[];
}

/** Derives the wanted world from `state`; empty before the first accepted config and after deletion. */
export function desired(state: ShardConfigState): Desired {
  if (state.settings === null || state.deleted) return { statefulSets: [], assignments: [], podsToDelete: [] };
  const replicas = replicasOf(state);
  const pods = podCount(state);
  const deletable = shardsOf(state).filter((shard) => isDeletable(state, shard));
  return {
    statefulSets: replicas.map((replica) => ({ replica, replicas: pods })),
    assignments: [...assignedSlots(state)].map(([shardId, slots]) => toAssignment(state, shardId, slots)),
    podsToDelete: [
      ...deletable.flatMap((shard) =>
        replicas.map((replica) => ({
          shardId: shard.shardId,
          replica,
          unlessRevision: state.revision,
          unlessReady: exposes(state, shard),
          whenOthersReady: false,
        })),
      ),
      ...standbysToRenew(state),
    ],
  };
}

/** StatefulSets count from 0, so a shard that has to stay keeps all below it. */
function podCount(state: ShardConfigState): number {
  const staying = shardsOf(state).filter((shard) => isWanted(state, shard) || exposes(state, shard));
  return staying.reduce((count, { ordinal }) => Math.max(count, ordinal + 1), state.desiredShards);
}

/**
 * A shard that cannot be heard has nothing left to release that deleting its pod would not end as well. What it keeps may
 * be exposed by nobody else yet.
 */
function exposes(state: ShardConfigState, shard: ShardState): boolean {
  const isForgotten = isUnheard(shard) && shard.stale?.kept.length === 0;
  return !isIdle(state, isForgotten ? { ...shard, stale: null } : shard);
}

const isUnheard = ({ health }: ShardState): boolean => health === 'Failed' || health === 'Pending';

/** Standbys are renewed one by one; a renewed one takes over, and the worker that it replaces is the next standby. */
function standbysToRenew(state: ShardConfigState): readonly PodToDelete[] {
  if (state.settings?.replicasPerShard !== 2 || state.settings.mode === 'Paused') return [];
  return shardsOf(state)
    .filter(({ health }) => health === 'Healthy')
    .map(({ shardId, active }) => ({
      shardId,
      replica: active === 'a' ? 'b' : 'a',
      unlessRevision: state.revision,
      unlessReady: false,
      whenOthersReady: true,
    }));
}

/**
 * A pod of an outdated template may go when the rolling update chose it, and at any time when it cannot serve: a worker
 * that never starts (a broken image) must not keep its own repair from starting.
 */
function isDeletable(state: ShardConfigState, shard: ShardState): boolean {
  if (isUnheard(shard)) return true;
  return state.rollout?.replacing === shard.shardId && isOutdated(state, shard) && isIdle(state, shard);
}
