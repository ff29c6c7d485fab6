/**
 * The least number of slots that have to change their shard so that `shards` hold all of them with counts that differ
 * by at most one. Written apart from the planner, to judge it.
 *
 * @param owners responsible shard of each slot
 * @param shards the shards that are to own slots afterwards
 */
export function minimumMoves(owners: readonly string[], shards: readonly string[]): number {
  const counts = shards.map((shard) => owners.filter((owner) => owner === shard).length).sort((a, b) => b - a);
  const floor = Math.floor(owners.length / shards.length);
  const larger = owners.length % shards.length;
  const staying = counts.reduce((sum, count, i) => sum + Math.min(count, i < larger ? floor + 1 : floor), 0);
  return owners.length - staying;
}

/**
 * The least for a rolling update with one extra worker: every slot leaves its outdated worker once, and those that the
 * extra worker took first leave it again.
 */
export function minimumRolloutMoves(owners: readonly string[], shards: readonly string[]): number {
  return owners.length + Math.min(...shards.map((shard) => owners.filter((owner) => owner === shard).length));
}
