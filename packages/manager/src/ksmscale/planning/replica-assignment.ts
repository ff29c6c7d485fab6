import type { Layout } from './layout.ts';

/** Which shard each pod index has under a strategy other than round-robin: what exists keeps its shard. */

export interface AssignedReplica {
  readonly index: number;
  readonly shard: number;
  /** Number within its shard. */
  readonly replica: number;
  /** Where it runs, or should; undefined without zones. */
  readonly zone: string | undefined;
}

export interface AssignmentInput {
  readonly layout: Extract<Layout, { readonly naming: 'Index' }>;
  /** Pods of today, whatever their state. */
  readonly existing: readonly AssignedReplica[];
  /** Replicas of each shard that are ready. */
  readonly readyOf: (shard: number) => number;
  /** Objects that a pod of the shard reports; undefined: unknown. */
  readonly objectsOf: (shard: number) => number | undefined;
  /** Zones of the nodes. */
  readonly zones: readonly string[];
}

/** Deterministic: the same input gives the same assignment. Sorted by index. */
export function assignReplicas(input: AssignmentInput): readonly AssignedReplica[] {
  const { layout } = input;
  const assigned = keptReplicas(input);
  const added: AssignedReplica[] = [];
  while (assigned.length < layout.desiredPods) {
    const shards = addable(layout, assigned);
    const { shard, zone } = choose(input, shards, assigned, added);
    const ofShard = assigned.filter((replica) => replica.shard === shard);
    const next = {
      index: lowestFree(assigned.map(({ index }) => index)),
      shard,
      replica: lowestFree(ofShard.map(({ replica }) => replica)),
      zone,
    };
    assigned.push(next);
    added.push(next);
  }
  return assigned.toSorted((a, b) => a.index - b.index);
}

/** The highest index leaves first, unless its shard would fall below the minimum; shards below theirs need room, too. */
function keptReplicas({ layout, existing }: AssignmentInput): AssignedReplica[] {
  const { desiredPods, servedShards, minPerShard, maxPerShard } = layout;
  const kept = existing.filter(({ shard }) => shard < servedShards).toSorted((a, b) => a.index - b.index);
  const lacking = Array.from({ length: servedShards }, (_, shard) => Math.max(0, minPerShard - countOf(kept, shard)));
  const room = desiredPods - lacking.reduce((sum, count) => sum + count, 0);
  for (const replica of kept.toReversed()) {
    const ofShard = countOf(kept, replica.shard);
    const tooMany = kept.length > room && ofShard > minPerShard;
    if (tooMany || (maxPerShard > 0 && ofShard > maxPerShard)) kept.splice(kept.indexOf(replica), 1);
  }
  return kept;
}

const countOf = (replicas: readonly AssignedReplica[], shard: number): number =>
  replicas.filter((replica) => replica.shard === shard).length;

/** Shards below their minimum, the emptiest only; else all that have room. */
function addable(
  { servedShards, minPerShard, maxPerShard }: Layout,
  assigned: readonly AssignedReplica[],
): readonly number[] {
  const shards = Array.from({ length: servedShards }, (_, shard) => shard);
  const counts = shards.map((shard) => countOf(assigned, shard));
  const fewest = Math.min(...counts);
  if (fewest < minPerShard) return shards.filter((shard) => counts[shard] === fewest);
  return shards.filter((shard) => maxPerShard === 0 || (counts[shard] ?? 0) < maxPerShard);
}

function lowestFree(numbers: readonly number[]): number {
  const taken = new Set(numbers);
  let free = 0;
  while (taken.has(free)) free += 1;
  return free;
}

function choose(
  input: AssignmentInput,
  shards: readonly number[],
  assigned: readonly AssignedReplica[],
  added: readonly AssignedReplica[],
): { readonly shard: number; readonly zone: string | undefined } {
  if (input.layout.strategy === 'zone-aware' && input.zones.length > 0) return chooseByZone(input, shards, assigned);
  const load = (shard: number): number =>
    (input.objectsOf(shard) ?? 0) / Math.max(1, input.readyOf(shard) + countOf(added, shard));
  const score = input.layout.strategy === 'least-loaded' ? load : () => 0;
  const [shard = 0] = shards.toSorted(
    (a, b) => score(b) - score(a) || countOf(assigned, a) - countOf(assigned, b) || a - b,
  );
  return { shard, zone: undefined };
}

/** The zone with the fewest pods, and in it the shard that is missing there, or has the fewest replicas. */
function chooseByZone({ zones }: AssignmentInput, shards: readonly number[], assigned: readonly AssignedReplica[]) {
  const inZone = (zone: string): readonly AssignedReplica[] => assigned.filter((replica) => replica.zone === zone);
  const pairs = zones.flatMap((zone) => {
    const here = inZone(zone);
    return shards.map((shard) => ({ zone, shard, pods: here.length, replicas: countOf(here, shard) }));
  });
  const [best] = pairs.toSorted(
    (a, b) =>
      // A shard below its minimum is the only one here: then its own spread comes before that of all pods.
      (shards.length === 1 ? a.replicas - b.replicas : 0) ||
      a.pods - b.pods ||
      compareText(a.zone, b.zone) ||
      a.replicas - b.replicas ||
      countOf(assigned, a.shard) - countOf(assigned, b.shard) ||
      a.shard - b.shard,
  );
  return { shard: best?.shard ?? 0, zone: best?.zone };
}

const compareText = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
