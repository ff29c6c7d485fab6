/**
 * Slots: the 64-bit hash space cut in `slotCount` equal parts. The slot of an object is the top bits of its hash.
 * In resources and messages a set of slots is written as inclusive ranges over the top 32 bits of the hash.
 */

/** Inclusive range over the top 32 bits of the hash, on slot borders: the `hashRange` form of ShardInstance. */
export interface HashRange {
  readonly start: number;
  readonly end: number;
}

const SPACE = 0x1_0000_0000;

/** Thrown when ranges do not describe a set of whole slots. */
export class HashRangeError extends Error {
  readonly code = 'SC_HASH_RANGE';
  override readonly name = 'HashRangeError';
}

/** Whether `n` can be a ShardConfig's `spec.slots`: a power of two from 64 to 4096. */
export function isSlotCount(n: number): boolean {
  return Number.isInteger(n) && n >= 64 && n <= 4096 && (n & (n - 1)) === 0;
}

/** The slot of a hash, from its top 32 bits. */
export function slotOf(high: number, slotCount: number): number {
  return Math.floor(high / (SPACE / slotCount));
}

/** The shortest list of inclusive ranges that covers exactly `slots` (any order, duplicates allowed). */
export function slotsToRanges(slots: Iterable<number>, slotCount: number): HashRange[] {
  const width = SPACE / slotCount;
  const sorted = [...new Set(slots)].sort((x, y) => x - y);
  const ranges: { start: number; end: number }[] = [];
  for (const slot of sorted) {
    if (!Number.isInteger(slot) || slot < 0 || slot >= slotCount) {
      throw new HashRangeError(`slot ${slot} is outside 0 to ${slotCount - 1}`);
    }
    const start = slot * width;
    const last = ranges.at(-1);
    if (last !== undefined && last.end + 1 === start) last.end = start + width - 1;
    else ranges.push({ start, end: start + width - 1 });
  }
  return ranges;
}

/**
 * The slots that `ranges` cover, ascending.
 * @throws HashRangeError when a range is reversed, off the slot borders, out of bounds, or overlaps another.
 */
export function rangesToSlots(ranges: readonly HashRange[], slotCount: number): number[] {
  const width = SPACE / slotCount;
  const slots = new Set<number>();
  for (const { start, end } of ranges) {
    if (!Number.isInteger(start) || !Number.isInteger(end) || start < 0 || end >= SPACE || start > end) {
      throw new HashRangeError(`range ${start}-${end} is not within 0-${SPACE - 1}`);
    }
    if (start % width !== 0 || (end + 1) % width !== 0) {
      throw new HashRangeError(`range ${start}-${end} is not on the borders of ${slotCount} slots (width ${width})`);
    }
    for (let slot = start / width; slot < (end + 1) / width; slot++) {
      if (slots.has(slot)) throw new HashRangeError(`range ${start}-${end} overlaps another range`);
      slots.add(slot);
    }
  }
  return [...slots].sort((x, y) => x - y);
}
