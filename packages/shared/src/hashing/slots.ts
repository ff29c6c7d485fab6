/**
 * Slots: the 64-bit hash space cut in `slotCount` equal parts. The slot of an object is the top bits of its hash.
 * In resources and messages a set of slots is written as inclusive ranges over the top 32 bits of the hash.
 */

/** 0 to slotCount - 1. Any number passes for one, but none that has a name of its own. */
export type SlotIndex = number & { readonly is?: 'slot' };

/** Inclusive range over the top 32 bits of the hash, on slot borders: the `hashRange` form of ShardInstance. */
export interface HashRange {
  readonly start: number;
  readonly end: number;
}

const SPACE = 0x1_0000_0000;

/** Ranges do not describe a set of whole slots. @remedy this is a defect: report it with the log of the process. */
export class HashRangeError extends Error {
  readonly code = 'SC_HASH_RANGE';
  override readonly name = 'HashRangeError';
}

/** Whether `n` can be a ShardConfig's `spec.slots`: a power of two from 64 to 4096. */
export function isSlotCount(n: number): boolean {
  return Number.isInteger(n) && n >= 64 && n <= 4096 && (n & (n - 1)) === 0;
}

/** The slot of a hash, from its top 32 bits. */
export function slotOf(high: number, slotCount: number): SlotIndex {
  return Math.floor(high / (SPACE / slotCount));
}

/** The shortest list of inclusive ranges that covers exactly `slots` (any order, duplicates allowed). */
export function slotsToRanges(slots: Iterable<SlotIndex>, slotCount: number): HashRange[] {
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
export function rangesToSlots(ranges: readonly HashRange[], slotCount: number): SlotIndex[] {
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

/** Longest text of a set of slots: at most five characters a slot, and no more than every second one stands alone. */
export const MAX_SLOT_TEXT = 2048 * 5;

/**
 * A set of slots as short text, `0-3,7`: the form of messages, because it is bounded whatever the slots are
 * (`MAX_SLOT_TEXT`), which ranges over the hash are not. Any order, duplicates allowed.
 */
export function slotsToText(slots: Iterable<SlotIndex>): string {
  const runs: { first: number; last: number }[] = [];
  for (const slot of [...new Set(slots)].sort((x, y) => x - y)) {
    const run = runs.at(-1);
    if (run !== undefined && run.last + 1 === slot) run.last = slot;
    else runs.push({ first: slot, last: slot });
  }
  return runs.map(({ first, last }) => (first === last ? `${first}` : `${first}-${last}`)).join(',');
}

/**
 * The slots that `text` names, ascending; none for the empty text.
 * @throws HashRangeError when it is no such text, not in order, or names a slot that does not exist.
 */
export function textToSlots(text: string, slotCount: number): SlotIndex[] {
  if (text === '') return [];
  const slots: number[] = [];
  for (const run of text.split(',')) {
    const match = /^([0-9]{1,4})(?:-([0-9]{1,4}))?$/.exec(run);
    const first = Number(match?.[1] ?? Number.NaN);
    const last = match?.[2] === undefined ? first : Number(match[2]);
    const isInOrder = first > (slots.at(-1) ?? -1) && last >= first && last < slotCount;
    if (!isInOrder) throw new HashRangeError(`"${run.slice(0, 20)}" names no slots of 0 to ${slotCount - 1}, in order`);
    for (let slot = first; slot <= last; slot++) slots.push(slot);
  }
  return slots;
}
