export { fnv1a64, fnv1a64Bytes, type Hash64, hashToBigInt } from './fnv1a64.ts';
export { type HashRange, HashRangeError, isSlotCount, rangesToSlots, slotOf, slotsToRanges } from './slots.ts';
