import { slotsToRanges } from '@shard-controller/shared/hashing';

/**
 * Most ranges in one selector. 79 characters each: 64 are 5 KB of query, which passes the proxies and load balancers
 * that stand before API servers (8 KB is a common limit for the whole head).
 */
const MAX_RANGES = 64;
/** The selector that matches (practically) nothing: an empty range is refused. */
const NOTHING = { start: 0n, end: 1n };

/**
 * KEP-5866 `shardSelector` for a set of slots. Where they make more than 64 ranges, those with the smallest gaps between
 * them are asked for together: the answer then holds objects of other slots, which the reader has to leave out anyway.
 *
 * @param slots ascending, without duplicates; empty asks for nothing.
 */
export function shardSelector(shardBy: 'uid' | 'namespace', slots: readonly number[], slotCount: number): string {
  const ranges = slotsToRanges(slots, slotCount).map(({ start, end }) => ({
    start: BigInt(start) << 32n,
    end: (BigInt(end) + 1n) << 32n,
  }));
  const asked = ranges.length === 0 ? [NOTHING] : joined(ranges);
  return asked
    .map(({ start, end }) => `shardRange(object.metadata.${shardBy}, '${hex(start)}', '${hex(end)}')`)
    .join(' || ');
}

interface WideRange {
  readonly start: bigint;
  readonly end: bigint;
}

function joined(ranges: readonly WideRange[]): readonly WideRange[] {
  if (ranges.length <= MAX_RANGES) return ranges;
  const gaps = ranges.slice(1).map(({ start }, i) => ({ i, width: start - (ranges[i] as WideRange).end }));
  gaps.sort((a, b) => (a.width === b.width ? a.i - b.i : a.width < b.width ? -1 : 1));
  const closed = new Set(gaps.slice(0, ranges.length - MAX_RANGES).map(({ i }) => i));
  const result: { start: bigint; end: bigint }[] = [];
  for (const [i, { start, end }] of ranges.entries()) {
    const last = result.at(-1);
    if (last !== undefined && closed.has(i - 1)) last.end = end;
    else result.push({ start, end });
  }
  return result;
}

/** 2^64 is the one value with 17 digits. */
function hex(value: bigint): string {
  return `0x${value.toString(16).padStart(16, '0')}`;
}
