import type { Assignment, Replica } from '@shard-controller/shared/contracts';
import {
  assignedSlots,
  isIdle,
  isOutdated,
  isSurge,
  isWanted,
  replicasOf,
  type ShardConfigState,
  type ShardId,
  shardsOf,
  type ShardState,
  SURGE,
  toAssignment,
} from '../aggregate/index.ts';

/** One StatefulSet, `<config>-<replica>`. */
export interface DesiredStatefulSet {
  readonly replica: Replica;
  /** Pods: wanted shards, and shards that still expose something. */
  readonly replicas: number;
}

/** Pods to delete: they run another template than `unlessRevision`, and nothing is lost with them. Idempotent. */
interface PodToDelete {
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
  /** Pods of them are made from the wanted template; false: from the one that they have, the wanted one is not proved. */
  readonly templateProved: boolean;
  /** Whether there is a surge worker, with the wanted template. */
  readonly surge: boolean;
  /** One per ShardInstance; ShardInstances of this ShardConfig that are not listed are to be deleted. */
  readonly assignments: readonly Assignment[];
  readonly podsToDelete: readonly PodToDelete[];
}

/** Derives the wanted world from `state`; empty before the first accepted config and after deletion. */
export function desired(state: ShardConfigState): Desired {
  if (state.settings === null || state.deleted) return NOTHING;
  const pods = podCount(state);
  const surge = state.shards[SURGE];
  const templateProved = state.template === state.revision;
  return {
    statefulSets: replicasOf(state).map((replica) => ({ replica, replicas: pods })),
    templateProved,
    surge: surge !== undefined && (isWanted(state, surge) || exposes(state, surge)),
    assignments: [...assignedSlots(state)].map(([shardId, slots]) => toAssignment(state, shardId, slots)),
    // Made again from a template that is not proved, an outdated pod would be no better.
    podsToDelete: templateProved ? [...outdatedPods(state), ...standbysToRenew(state)] : [],
  };
}

const NOTHING: Desired = {
  statefulSets: [],
  templateProved: false,
  surge: false,
  assignments: [],
  podsToDelete: [],
};

function outdatedPods(state: ShardConfigState): readonly PodToDelete[] {
  const deletable = shardsOf(state).filter((shard) => !isSurge(shard) && isDeletable(state, shard));
  return deletable.flatMap((shard) =>
    replicasOf(state).map((replica) => ({
      shardId: shard.shardId,
      replica,
      unlessRevision: state.revision,
      unlessReady: exposes(state, shard),
      whenOthersReady: false,
    })),
  );
}

/** StatefulSets count from 0, so a shard that has to stay keeps all below it. */
function podCount(state: ShardConfigState): number {
  const regular = shardsOf(state).filter((shard) => !isSurge(shard));
  const staying = regular.filter((shard) => isWanted(state, shard) || exposes(state, shard));
  return staying.reduce((count, { ordinal }) => Math.max(count, ordinal + 1), state.desiredShards);
}

/**
 * A shard that cannot be heard has nothing left to release that deleting its pod would not end as well. What it keeps may
 * not be exposed by any other worker yet.
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
    .filter((shard) => shard.health === 'Healthy' && !isSurge(shard))
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
