import {
  ASSIGNMENT_ANNOTATION,
  INDEX_LABEL,
  KSM_NAME,
  numberLabel,
  POD_INDEX_LABEL,
  REPLICA_LABEL,
  SHARD_LABEL,
  SHARDED_LABEL,
  TOTAL_LABEL,
  ZONE_LABEL,
} from './labels.ts';
import type { Layout } from './layout.ts';
import type { ObservedNode, ObservedPod } from './observation.ts';
import { type AssignedReplica, assignReplicas } from './replica-assignment.ts';

/** A pod that should be: its name and what it is. */
export interface Place {
  readonly name: string;
  /** Undefined without sharding. */
  readonly shard: number | undefined;
  readonly replica: number;
  readonly totalShards: number | undefined;
  /** Labels that say which place a pod has. */
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  /** A zone that it should run in, where there is a choice. */
  readonly zone: string | undefined;
}

export interface PlaceInput {
  readonly scale: string;
  readonly layout: Layout;
  readonly pods: readonly ObservedPod[];
  readonly nodes: readonly ObservedNode[];
  readonly objectsOf: (shard: number) => number | undefined;
}

/** Every label by which a pod says which place it has. */
export const PLACE_LABELS = [
  INDEX_LABEL,
  POD_INDEX_LABEL,
  SHARD_LABEL,
  REPLICA_LABEL,
  TOTAL_LABEL,
  SHARDED_LABEL,
] as const;

const indexName = (scale: string, index: number): string => `${KSM_NAME}-${scale}-${index}`;

/** Places in the order in which they are filled and renewed. */
export function placesOf(input: PlaceInput): readonly Place[] {
  const { scale, layout } = input;
  const { totalShards, servedShards, desiredPods } = layout;
  if (totalShards === undefined) return Array.from({ length: desiredPods }, (_, index) => unshardedPlace(scale, index));
  if (layout.naming === 'Index') return indexedPlaces(input, layout, totalShards);
  const grouped = layout.naming === 'Group';
  return Array.from({ length: desiredPods }, (_, index) => {
    const { shard, replica } = roundRobin(index, servedShards);
    const name = `${KSM_NAME}-${scale}-${grouped ? `${shard}-${replica}` : `shard-${shard}`}`;
    return shardedPlace(totalShards, { name, shard, replica });
  });
}

/** Pod index to shard and replica: adding pods changes no other pod's shard. */
export const roundRobin = (index: number, shards: number): { readonly shard: number; readonly replica: number } => ({
  shard: index % shards,
  replica: Math.floor(index / shards),
});

function indexedPlaces(
  input: PlaceInput,
  layout: Extract<Layout, { readonly naming: 'Index' }>,
  totalShards: number,
): readonly Place[] {
  const { scale } = input;
  if (layout.strategy === 'round-robin') {
    return Array.from({ length: layout.desiredPods }, (_, index) => {
      const name = indexName(scale, index);
      return shardedPlace(totalShards, { name, index, ...roundRobin(index, layout.servedShards) });
    });
  }
  const assigned = assignReplicas({
    layout,
    existing: existingReplicas(input, totalShards),
    readyOf: (shard) =>
      input.pods.filter((pod) => pod.isReady && numberLabel(pod.labels, SHARD_LABEL) === shard).length,
    objectsOf: input.objectsOf,
    zones: [...new Set(input.nodes.flatMap(({ zone }) => zone ?? []))].toSorted(),
  });
  return assigned.map((replica) => shardedPlace(totalShards, { name: indexName(scale, replica.index), ...replica }));
}

function existingReplicas({ scale, pods, nodes }: PlaceInput, totalShards: number): readonly AssignedReplica[] {
  const zones = new Map(nodes.map(({ name, zone }) => [name, zone]));
  return pods.flatMap(({ name, labels, node }) => {
    const index = numberLabel(labels, POD_INDEX_LABEL);
    const shard = numberLabel(labels, SHARD_LABEL);
    const replica = numberLabel(labels, REPLICA_LABEL);
    if (index === undefined || shard === undefined || replica === undefined) return [];
    if (name !== indexName(scale, index) || labels[TOTAL_LABEL] !== String(totalShards)) return [];
    const zone = (node === undefined ? undefined : zones.get(node)) ?? labels[ZONE_LABEL];
    return [{ index, shard, replica, zone }];
  });
}

function unshardedPlace(scale: string, index: number): Place {
  return {
    name: indexName(scale, index),
    shard: undefined,
    replica: index,
    totalShards: undefined,
    labels: { [INDEX_LABEL]: String(index), [SHARDED_LABEL]: 'false' },
    annotations: {},
    zone: undefined,
  };
}

interface ShardedPlaceFields {
  readonly name: string;
  readonly shard: number;
  readonly replica: number;
  readonly index?: number;
  readonly zone?: string | undefined;
}

function shardedPlace(totalShards: number, { name, shard, replica, index, zone }: ShardedPlaceFields): Place {
  return {
    name,
    shard,
    replica,
    totalShards,
    labels: {
      ...(index === undefined ? {} : { [POD_INDEX_LABEL]: String(index) }),
      [SHARD_LABEL]: String(shard),
      [REPLICA_LABEL]: String(replica),
      [TOTAL_LABEL]: String(totalShards),
      [SHARDED_LABEL]: 'true',
    },
    annotations: { [ASSIGNMENT_ANNOTATION]: `Shard ${shard} (Replica ${replica})` },
    zone,
  };
}
