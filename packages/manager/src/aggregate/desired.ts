import type { Assignment, Replica } from '@shard-controller/shared/contracts';
import type { ShardConfigState, ShardId } from './state.ts';

/** One StatefulSet, `<config>-<replica>`. */
export interface DesiredStatefulSet {
  readonly replica: Replica;
  /** Pods: wanted shards, a surge worker, and shards that still expose something. */
  readonly replicas: number;
}

/** A pod to delete: it exposes nothing and runs another template than `unlessRevision`. Idempotent. */
export interface PodToDelete {
  readonly shardId: ShardId;
  readonly replica: Replica;
  /** Pods with this `shard.io/revision` label are spared. */
  readonly unlessRevision: string;
}

/** What the world should be. Level-triggered: the effects compare it with what they see and change the difference. */
export interface Desired {
  readonly statefulSets: readonly DesiredStatefulSet[];
  /** One per ShardInstance; ShardInstances of this ShardConfig that are not listed are to be deleted. */
  readonly assignments: readonly Assignment[];
  readonly podsToDelete: readonly PodToDelete[];
}

/** Derives the wanted world from `state`; empty before the first accepted config and after deletion. */
export function desired(_state: ShardConfigState): Desired {
  return { statefulSets: [], assignments: [], podsToDelete: [] };
}
