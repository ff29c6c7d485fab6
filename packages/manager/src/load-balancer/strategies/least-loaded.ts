import { byShardId, type Placement, type Receiver, type Strategy } from './strategy.ts';

/**
 * Gives each slot to the shard with the lowest load so far: the objects it reports, plus those that it is about to get,
 * estimated by the mean per slot. The planner bounds how many slots each may get, so counts stay balanced; load
 * decides who gets the odd ones and the first ones.
 */
export const leastLoaded: Strategy = {
  name: 'least-loaded',

  /** Known loads first, the lowest of them first. */
  prefer: (a, b) => (a.objects ?? Infinity) - (b.objects ?? Infinity) || byShardId(a, b),

  pickSlotsToMove: (_giver, slots, count) => slots.slice(slots.length - count),

  place(slots, receivers) {
    const perSlot = meanObjectsPerSlot(receivers);
    const left = receivers.map(({ shardId, room, owned, objects }) => ({
      shardId,
      room,
      load: objects ?? owned.size * perSlot,
    }));
    const placements: Placement[] = [];
    for (const slot of slots) {
      const lowest = left
        .filter((r) => r.room > 0)
        .sort((a, b) => a.load - b.load || (a.shardId < b.shardId ? -1 : 1))[0];
      if (lowest === undefined) return placements;
      lowest.room--;
      lowest.load += perSlot;
      placements.push({ slot, to: lowest.shardId });
    }
    return placements;
  },
};

/** 1 when nothing is known, so that the load is the number of slots. */
function meanObjectsPerSlot(receivers: readonly Receiver[]): number {
  const known = receivers.filter((r) => r.objects !== undefined && r.owned.size > 0);
  const slots = known.reduce((sum, r) => sum + r.owned.size, 0);
  const objects = known.reduce((sum, r) => sum + (r.objects ?? 0), 0);
  return slots === 0 || objects === 0 ? 1 : objects / slots;
}
