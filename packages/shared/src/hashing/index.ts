export { fnv1a64, fnv1a64Bytes, type Hash64, hashToBigInt } from './fnv1a64.ts';
export {
  type HashRange,
  HashRangeError,
  isSlotCount,
  MAX_SLOT_TEXT,
  rangesToSlots,
  type SlotIndex,
  slotOf,
  slotsToRanges,
  slotsToText,
  textToSlots,
} from './slots.ts';
