/** How many pods a number of nodes asks for. */

/** Pods of an unsharded KSMScale: one for every `nodesPerMonitor` nodes, none without nodes. */
export const podsForNodes = (nodes: number, nodesPerMonitor: number): number => Math.ceil(nodes / nodesPerMonitor);

export interface ReplicaBounds {
  readonly shards: number;
  readonly minPerShard: number;
  /** 0: no limit. */
  readonly maxPerShard: number;
}

/** A wanted number of pods within the bounds of its shards, and which bound held. */
export interface BoundedPods {
  readonly pods: number;
  readonly held: 'Minimum' | 'Maximum' | undefined;
}

/** No shard goes below its minimum or above its maximum; a maximum below the minimum is refused by the schema. */
export function boundedPods(wanted: number, { shards, minPerShard, maxPerShard }: ReplicaBounds): BoundedPods {
  const floor = shards * minPerShard;
  if (wanted < floor) return { pods: floor, held: 'Minimum' };
  const cap = shards * maxPerShard;
  if (maxPerShard > 0 && wanted > cap) return { pods: cap, held: 'Maximum' };
  return { pods: wanted, held: undefined };
}
