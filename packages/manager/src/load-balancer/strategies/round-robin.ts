import { byShardId, type Placement, type Strategy } from './strategy.ts';

/** Deals slots in turn, in the order of the shards: even and easy to predict, at the price of many short ranges. */
export const roundRobin: Strategy = {
  name: 'round-robin',

  prefer: byShardId,

  pickSlotsToMove: (_giver, slots, count) => slots.slice(slots.length - count),

  place(slots, receivers) {
    const left = receivers.map(({ shardId, room }) => ({ shardId, room }));
    const placements: Placement[] = [];
    let turn = 0;
    for (const slot of slots) {
      const offset = left.findIndex((_, i) => (left[(turn + i) % left.length]?.room ?? 0) > 0);
      const next = (turn + offset) % left.length;
      const receiver = left[next];
      if (offset < 0 || receiver === undefined) return placements;
      receiver.room--;
      placements.push({ slot, to: receiver.shardId });
      turn = next + 1;
    }
    return placements;
  },
};
