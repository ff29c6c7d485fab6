import { fnv1a64 } from '@shard-controller/shared/hashing';
import type { ShardId, SlotIndex } from '../../aggregate/index.ts';
import { byShardId, type Placement, type Receiver, type Run, runsOf, slotsFrom, type Strategy } from './strategy.ts';

/**
 * Stable assignment by hash rank (rendezvous hashing, Thaler and Ravishankar 1998) over runs instead of single slots:
 * every shard and run of slots has a fixed rank, so the same change always moves the same slots, while a shard's slots
 * stay few contiguous ranges (short selectors, short assignments).
 */
export const consistentHash: Strategy = {
  name: 'consistent-hash',

  prefer: byShardId,

  /** Whole runs first, the shortest first, so that what is kept becomes less fragmented; then one run is cut. */
  pickSlotsToMove(giver, slots, count) {
    const runs = runsOf(slots).sort((a, b) => a.length - b.length || byRank(giver, a, b));
    const given: SlotIndex[] = [];
    for (const { first, length } of runs) {
      const left = count - given.length;
      if (left === 0) break;
      // The end of a run touches the next shard's range more often than not, so cut there.
      given.push(...slotsFrom(first + Math.max(0, length - left), Math.min(left, length)));
    }
    return given;
  },

  place(slots, receivers) {
    const room = new Map(receivers.map((r) => [r.shardId, r.room]));
    const owned = new Map(receivers.map((r) => [r.shardId, new Set(r.owned)]));
    const placements: Placement[] = [];
    for (const run of runsOf(slots)) {
      let { first, length } = run;
      while (length > 0) {
        const to = bestReceiver(first, length, receivers, room, owned);
        if (to === undefined) return placements;
        const take = Math.min(length, room.get(to) ?? 0);
        // A receiver that joins on at the end takes the end, so that the pieces stay together.
        const joinsAtEnd = owned.get(to)?.has(first + length) === true && owned.get(to)?.has(first - 1) !== true;
        const from = joinsAtEnd ? first + length - take : first;
        for (const slot of slotsFrom(from, take)) {
          placements.push({ slot, to });
          owned.get(to)?.add(slot);
        }
        room.set(to, (room.get(to) ?? 0) - take);
        if (!joinsAtEnd) first += take;
        length -= take;
      }
    }
    return placements;
  },
};

/** The receiver with room that owns a neighbour of the run, else the one of the highest rank for it. */
function bestReceiver(
  first: SlotIndex,
  length: number,
  receivers: readonly Receiver[],
  room: ReadonlyMap<ShardId, number>,
  owned: ReadonlyMap<ShardId, ReadonlySet<SlotIndex>>,
): ShardId | undefined {
  const joins = (shardId: ShardId): number =>
    Number(owned.get(shardId)?.has(first - 1) === true) + Number(owned.get(shardId)?.has(first + length) === true);
  return receivers
    .map((r) => r.shardId)
    .filter((shardId) => (room.get(shardId) ?? 0) > 0)
    .sort((a, b) => joins(b) - joins(a) || rank(b, first) - rank(a, first) || (a < b ? -1 : 1))[0];
}

const byRank = (giver: ShardId, a: Run, b: Run): number => rank(giver, b.first) - rank(giver, a.first);

const rank = (shardId: ShardId, slot: SlotIndex): number => fnv1a64(`${shardId}/${slot}`).high;
