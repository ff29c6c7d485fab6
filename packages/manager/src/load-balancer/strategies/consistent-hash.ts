import { fnv1a64 } from '@shard-controller/shared/hashing';
import type { ShardId, SlotIndex } from '../../aggregate/index.ts';
import { byShardId, type Placement, type Receiver, runsOf, slotsFrom, type Strategy } from './strategy.ts';

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
    const ranked = runsOf(slots).map((run) => ({ run, rank: rank(giver, run.first) }));
    const runs = ranked.sort((a, b) => a.run.length - b.run.length || b.rank - a.rank).map(({ run }) => run);
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

/**
 * The receiver with room that owns a neighbour of the run, else the one of the highest rank for it. One look at each: there
 * may be a thousand of them for every piece of a thousand.
 */
function bestReceiver(
  first: SlotIndex,
  length: number,
  receivers: readonly Receiver[],
  room: ReadonlyMap<ShardId, number>,
  owned: ReadonlyMap<ShardId, ReadonlySet<SlotIndex>>,
): ShardId | undefined {
  let best: { readonly shardId: ShardId; readonly joins: number; readonly rank: number } | undefined;
  for (const { shardId } of receivers) {
    if ((room.get(shardId) ?? 0) <= 0) continue;
    const has = owned.get(shardId);
    const joins = Number(has?.has(first - 1) === true) + Number(has?.has(first + length) === true);
    if (best !== undefined && joins < best.joins) continue;
    const next = { shardId, joins, rank: rank(shardId, first) };
    const isBetter =
      best === undefined ||
      joins > best.joins ||
      next.rank > best.rank ||
      (next.rank === best.rank && shardId < best.shardId);
    if (isBetter) best = next;
  }
  return best?.shardId;
}

const rank = (shardId: ShardId, slot: SlotIndex): number => fnv1a64(`${shardId}/${slot}`).high;
