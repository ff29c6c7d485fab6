import type { ShardId, SlotIndex } from '../aggregate/index.ts';
import { byShardId, type PlanTarget, type Receiver, type Strategy } from './strategies/index.ts';

export interface PlanInput {
  /** Responsible shard by slot, as it will be when everything in progress has succeeded. */
  readonly owners: readonly (ShardId | null)[];
  /** Shards that may own slots, in any order. */
  readonly targets: readonly PlanTarget[];
  /** Slots that must get another owner. Their present owner is not a target, or null. */
  readonly orphans: ReadonlySet<SlotIndex>;
  /** Slots that must stay where they are. */
  readonly pinned: ReadonlySet<SlotIndex>;
}

export interface Move {
  readonly slot: SlotIndex;
  readonly from: ShardId | null;
  readonly to: ShardId;
}

/**
 * The fewest moves after which no orphan is left and the targets' slot counts differ by at most one (unless pinned
 * slots forbid it). It ignores slots of shards that are neither targets nor orphaned.
 *
 * Minimal because a shard with more slots than its quota has to give the surplus in any case, nothing else moves, and
 * the larger quotas (total mod targets of them) go to the shards that have the most already.
 */
export function planBalance(input: PlanInput, strategy: Strategy): Move[] {
  if (input.targets.length === 0) return [];
  const kept = slotsByTarget(input, strategy);
  const quotas = balancedQuotas(kept, input.orphans.size);
  const moving: SlotIndex[] = [...input.orphans];
  for (const [shardId, slots] of kept) {
    const surplus = slots.length - (quotas.get(shardId) ?? 0);
    if (surplus <= 0) continue;
    const movable = slots.filter((slot) => !input.pinned.has(slot));
    const given = new Set(strategy.pickSlotsToMove(shardId, movable, Math.min(surplus, movable.length)));
    moving.push(...given);
    kept.set(
      shardId,
      slots.filter((slot) => !given.has(slot)),
    );
  }
  return place(input, moving, kept, quotas, strategy);
}

/** Gives each orphan an owner and moves nothing else; the shards with the fewest slots are filled up first. */
export function planFailover(input: PlanInput, strategy: Strategy): Move[] {
  if (input.targets.length === 0) return [];
  const kept = slotsByTarget(input, strategy);
  return place(input, [...input.orphans], kept, filledQuotas(kept, input.orphans.size), strategy);
}

function place(
  { owners, targets }: PlanInput,
  moving: SlotIndex[],
  kept: ReadonlyMap<ShardId, readonly SlotIndex[]>,
  quotas: ReadonlyMap<ShardId, number>,
  strategy: Strategy,
): Move[] {
  const receivers: Receiver[] = [...targets].sort(byShardId).map(({ shardId, objects }) => {
    const owned = kept.get(shardId) ?? [];
    return { shardId, objects, owned: new Set(owned), room: Math.max(0, (quotas.get(shardId) ?? 0) - owned.length) };
  });
  const slots = moving.sort((a, b) => a - b);
  return strategy.place(slots, receivers).map(({ slot, to }) => ({ slot, from: owners[slot] ?? null, to }));
}

/** What each target has and may keep, the preferred targets first. */
function slotsByTarget({ owners, targets, orphans }: PlanInput, strategy: Strategy): Map<ShardId, SlotIndex[]> {
  const preferred = [...targets].sort((a, b) => strategy.prefer(a, b));
  const slots = new Map<ShardId, SlotIndex[]>(preferred.map(({ shardId }) => [shardId, []]));
  owners.forEach((owner, slot) => {
    if (owner !== null && !orphans.has(slot)) slots.get(owner)?.push(slot);
  });
  return slots;
}

/** Equal quotas, one more for the shards that have the most. */
function balancedQuotas(kept: ReadonlyMap<ShardId, readonly SlotIndex[]>, orphans: number): Map<ShardId, number> {
  const largestFirst = [...kept].sort(([, a], [, b]) => b.length - a.length);
  const total = largestFirst.reduce((sum, [, slots]) => sum + slots.length, orphans);
  const each = Math.floor(total / kept.size);
  const larger = total - each * kept.size;
  return new Map(largestFirst.map(([shardId], i) => [shardId, each + (i < larger ? 1 : 0)]));
}

/** The smallest counts raised to a common level, as water fills a vessel. */
function filledQuotas(kept: ReadonlyMap<ShardId, readonly SlotIndex[]>, orphans: number): Map<ShardId, number> {
  const levels = [...kept].map(([shardId, slots]) => ({ shardId, count: slots.length }));
  for (let left = orphans; left > 0; left--) {
    const lowest = levels.reduce((a, b) => (b.count < a.count ? b : a));
    lowest.count++;
  }
  return new Map(levels.map(({ shardId, count }) => [shardId, count]));
}
