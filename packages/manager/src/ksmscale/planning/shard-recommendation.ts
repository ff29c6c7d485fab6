/** Whether the number of shards fits the cluster. */

/** Shards recommended up to, and not including, so many nodes. Beyond the last: `MOST_SHARDS`. */
const RECOMMENDATIONS = [
  { belowNodes: 30, shards: 1 },
  { belowNodes: 60, shards: 2 },
  { belowNodes: 120, shards: 3 },
  { belowNodes: 200, shards: 5 },
  { belowNodes: 400, shards: 7 },
] as const;

const MOST_SHARDS = 10;

/** Fewest nodes for each shard that are worth a shard, and most that a shard should have. */
const FEWEST_NODES_PER_SHARD = 10;
const MOST_NODES_PER_SHARD = 50;

/** 1 means: without sharding. */
export const recommendedShards = (nodes: number): number =>
  RECOMMENDATIONS.find(({ belowNodes }) => nodes < belowNodes)?.shards ?? MOST_SHARDS;

export type Efficiency =
  | { readonly kind: 'Fits' }
  /** Not what is recommended, and within what is tolerable: worth a line in the log. */
  | { readonly kind: 'Differs'; readonly recommended: number }
  | { readonly kind: 'OverSharded' | 'UnderSharded'; readonly recommended: number; readonly warning: string };

export function shardingEfficiency(nodes: number, shards: number): Efficiency {
  const recommended = recommendedShards(nodes);
  if (shards === recommended) return { kind: 'Fits' };
  const figures = `${shards} shards for ${nodes} nodes (${oneDecimal(nodes, shards)} nodes/shard)`;
  if (nodes < FEWEST_NODES_PER_SHARD * shards) {
    const advice =
      recommended === 1
        ? 'Below 30 nodes it is better to disable sharding.'
        : `Consider reducing to ${recommended} shards.`;
    return { kind: 'OverSharded', recommended, warning: `Over-sharded: ${figures}. ${advice}` };
  }
  if (nodes > MOST_NODES_PER_SHARD * shards) {
    const advice = `Consider increasing to ${recommended} shards.`;
    return { kind: 'UnderSharded', recommended, warning: `Under-sharded: ${figures}. ${advice}` };
  }
  return { kind: 'Differs', recommended };
}

/** A quotient with one decimal, ties away from zero; in whole numbers, so that 9.25 is one. */
export const oneDecimal = (dividend: number, divisor: number): string => roundedQuotient(dividend, divisor).toFixed(1);

const roundedQuotient = (dividend: number, divisor: number): number =>
  Math.floor((20 * dividend + divisor) / (2 * divisor)) / 10;

/** Percentage of the shards that are active, one decimal. */
export const coveragePercent = (active: number, configured: number): number =>
  configured === 0 ? 100 : roundedQuotient(100 * active, configured);
