import { projectedOwners, type ShardConfigState, type ShardId, shardIdOf } from '../aggregate/index.ts';
import { planBalance } from './planner.ts';
import { strategyNamed } from './strategies/index.ts';

interface DryRunMove {
  readonly from: ShardId | null;
  readonly to: ShardId;
  readonly slots: number;
}

export interface DryRun {
  readonly moves: readonly DryRunMove[];
  /** Slots that would move. */
  readonly moved: number;
  /** The fewest with which any plan could end balanced. */
  readonly minimum: number;
}

/**
 * What would move if there were `shards` shards, all of them able to take slots, once everything in progress has ended.
 *
 * @param objects what each shard holds, where it is known
 * @throws UnknownStrategyError
 */
export function dryRun(
  state: ShardConfigState,
  shards: number,
  strategy: string,
  objects: Readonly<Record<ShardId, number>>,
): DryRun {
  const owners = projectedOwners(state);
  const targets = Array.from({ length: shards }, (_, ordinal) => shardIdOf(ordinal));
  const known = new Set(targets);
  const orphans = new Set(owners.flatMap((owner, slot) => (owner === null || !known.has(owner) ? [slot] : [])));
  const plan = planBalance(
    {
      owners,
      targets: targets.map((shardId) => ({ shardId, objects: objects[shardId] })),
      orphans,
      pinned: new Set(),
    },
    strategyNamed(strategy),
  );
  const groups = Map.groupBy(plan, ({ from, to }) => `${from ?? ''}>${to}`);
  const moves = [...groups.values()].flatMap((group) => {
    const first = group[0];
    return first === undefined ? [] : [{ from: first.from, to: first.to, slots: group.length }];
  });
  const counts = targets.map((shardId) => owners.filter((owner) => owner === shardId).length);
  return { moves, moved: plan.length, minimum: fewestMoves(counts, orphans.size) };
}

/** Slots without a target, and what shards have beyond an equal share; the larger shares are those of the largest. */
function fewestMoves(counts: readonly number[], orphans: number): number {
  const total = counts.reduce((sum, count) => sum + count, orphans);
  const share = Math.floor(total / counts.length);
  const larger = total % counts.length;
  const surplus = [...counts].sort((a, b) => b - a).map((count, i) => count - share - (i < larger ? 1 : 0));
  return orphans + surplus.reduce((sum, more) => sum + Math.max(0, more), 0);
}
