import type { KsmScaleSpec, KsmSharding, KsmShardingMode } from '@shard-controller/shared/api';
import { boundedPods, type BoundedPods, podsForNodes } from './replica-count.ts';

/** What a KSMScale asks for at a number of nodes: shards, pods, and how they are named. */

/** Pods named by index; every pod exports all objects, or its shard of them. */
interface IndexedLayout {
  readonly naming: 'Index';
  /** Which shard a pod of an index has, beyond the minimum of every shard. */
  readonly strategy: NonNullable<KsmSharding['replicationStrategy']>;
}

/** Pods named by shard and, in groups, by replica. */
interface ShardedNaming {
  readonly naming: 'Shard' | 'Group';
}

interface LayoutFigures {
  /** Undefined without sharding. */
  readonly mode: KsmShardingMode | undefined;
  /** Value of --total-shards; undefined without sharding. */
  readonly totalShards: number | undefined;
  /** Shards that get pods, from 0 on; fewer than `totalShards` in mode Partial only. */
  readonly servedShards: number;
  readonly desiredPods: number;
  /** Pods that the nodes alone ask for. */
  readonly calculatedPods: number;
  readonly held: BoundedPods['held'];
  readonly minPerShard: number;
  /** 0: no limit. */
  readonly maxPerShard: number;
}

export type Layout = LayoutFigures & (IndexedLayout | ShardedNaming);

const DEFAULT_SHARDS = 3;

/**
 * @param reachedShards shards that this KSMScale has now in mode Expandable, as its status says
 */
export function layoutOf(spec: KsmScaleSpec, nodes: number, reachedShards = 0): Layout {
  const { sharding } = spec;
  const calculated = spec.replicas ?? podsForNodes(nodes, spec.nodesPerMonitor);
  if (sharding === undefined || !sharding.enabled) return unsharded(calculated);
  return BY_MODE[sharding.mode]({ spec, sharding, nodes, calculated, reachedShards });
}

interface LayoutInput {
  readonly spec: KsmScaleSpec;
  readonly sharding: KsmSharding;
  readonly nodes: number;
  readonly calculated: number;
  readonly reachedShards: number;
}

const BY_MODE: Readonly<Record<KsmShardingMode, (input: LayoutInput) => Layout>> = {
  Replicated: ({ sharding, calculated }) => replicated(sharding, calculated),
  Fixed: ({ sharding, calculated }) => fixed(sharding, calculated),
  Expandable: ({ sharding, calculated, reachedShards }) => expandable(sharding, calculated, reachedShards),
  Groups: ({ spec, sharding, nodes }) => groups(spec, sharding, nodes),
  Partial: ({ sharding, calculated, nodes }) => partial(sharding, calculated, nodes),
};

function unsharded(calculatedPods: number): Layout {
  return {
    naming: 'Index',
    strategy: 'round-robin',
    mode: undefined,
    totalShards: undefined,
    servedShards: 0,
    desiredPods: calculatedPods,
    calculatedPods,
    held: undefined,
    minPerShard: 0,
    maxPerShard: 0,
  };
}

function replicated(sharding: KsmSharding, calculatedPods: number): Layout {
  const shards = sharding.shardCount ?? DEFAULT_SHARDS;
  const minPerShard = sharding.minReplicasPerShard ?? 1;
  const maxPerShard = sharding.maxReplicasPerShard ?? 0;
  const { pods, held } = boundedPods(calculatedPods, { shards, minPerShard, maxPerShard });
  return {
    naming: 'Index',
    strategy: sharding.replicationStrategy ?? 'round-robin',
    mode: 'Replicated',
    totalShards: shards,
    servedShards: shards,
    desiredPods: pods,
    calculatedPods,
    held,
    minPerShard,
    maxPerShard,
  };
}

function fixed(sharding: KsmSharding, calculatedPods: number): Layout {
  const shards = Math.max(sharding.shardCount ?? DEFAULT_SHARDS, sharding.minimumShards ?? 0);
  return { naming: 'Shard', mode: 'Fixed', totalShards: shards, ...onePodEach(shards, calculatedPods) };
}

function expandable(sharding: KsmSharding, calculatedPods: number, reachedShards: number): Layout {
  const base = sharding.baseShardCount ?? DEFAULT_SHARDS;
  const kept = sharding.preventContraction === true ? reachedShards : 0;
  const shards = Math.max(base, kept, sharding.allowDynamicExpansion === true ? calculatedPods : 0);
  return {
    naming: 'Index',
    strategy: 'round-robin',
    mode: 'Expandable',
    totalShards: shards,
    ...onePodEach(shards, calculatedPods),
  };
}

function groups(spec: KsmScaleSpec, sharding: KsmSharding, nodes: number): Layout {
  const shards = sharding.shardGroups ?? DEFAULT_SHARDS;
  const minPerShard = sharding.minReplicasPerGroup ?? 1;
  const dynamic = sharding.scalingStrategy === 'dynamic';
  const byNodes = podsForNodes(nodes, sharding.nodesPerReplica ?? spec.nodesPerMonitor);
  const calculatedPods = dynamic ? (spec.replicas ?? byNodes) : shards * minPerShard;
  const maxPerShard = dynamic ? 0 : minPerShard;
  const { pods, held } = boundedPods(calculatedPods, { shards, minPerShard, maxPerShard });
  return {
    naming: 'Group',
    mode: 'Groups',
    totalShards: shards,
    servedShards: shards,
    desiredPods: pods,
    calculatedPods,
    held,
    minPerShard,
    maxPerShard,
  };
}

function partial(sharding: KsmSharding, calculatedPods: number, nodes: number): Layout {
  const shards = sharding.maxShards ?? DEFAULT_SHARDS;
  const required = Math.ceil((shards * (sharding.minCoveragePercent ?? 0)) / 100);
  const accepted = nodes < (sharding.acceptIncompleteBelowNodes ?? 0);
  const served = accepted ? Math.min(shards, Math.max(calculatedPods, required)) : shards;
  return {
    naming: 'Index',
    strategy: 'round-robin',
    mode: 'Partial',
    totalShards: shards,
    ...onePodEach(served, calculatedPods),
  };
}

const onePodEach = (shards: number, calculatedPods: number) => ({
  servedShards: shards,
  desiredPods: shards,
  calculatedPods,
  held: undefined,
  minPerShard: 1,
  maxPerShard: 1,
});
