import fc from 'fast-check';
import { expect, test } from 'vitest';
import { fnv1a64 } from './fnv1a64.ts';
import {
  HashRangeError,
  isSlotCount,
  MAX_SLOT_TEXT,
  rangesToSlots,
  slotOf,
  slotsToRanges,
  slotsToText,
  textToSlots,
} from './slots.ts';

const slotCounts = fc.constantFrom(64, 128, 256, 512, 1024, 2048, 4096);

test('ranges and slots convert both ways without loss', () => {
  fc.assert(
    fc.property(
      slotCounts.chain((n) => fc.tuple(fc.constant(n), fc.uniqueArray(fc.nat(n - 1), { maxLength: 300 }))),
      ([n, slots]) => {
        expect(rangesToSlots(slotsToRanges(slots, n), n)).toEqual([...slots].sort((a, b) => a - b));
      },
    ),
  );
});

test('ranges are disjoint, ascending and never touch', () => {
  fc.assert(
    fc.property(fc.uniqueArray(fc.nat(255)), (slots) => {
      const ranges = slotsToRanges(slots, 256);
      for (let i = 1; i < ranges.length; i++) {
        expect(ranges[i]?.start).toBeGreaterThan((ranges[i - 1]?.end ?? 0) + 1);
      }
    }),
  );
});

test('every hash has one slot, and its range holds the hash', () => {
  fc.assert(
    fc.property(fc.string(), slotCounts, (text, n) => {
      const { high } = fnv1a64(text);
      const [range] = slotsToRanges([slotOf(high, n)], n);
      expect(range !== undefined && range.start <= high && high <= range.end).toBe(true);
    }),
  );
});

test('the first of four parts is the printed 0 to 1073741823', () => {
  const first = Array.from({ length: 64 }, (_, i) => i);
  expect(slotsToRanges(first, 256)).toEqual([{ start: 0, end: 1073741823 }]);
  expect(rangesToSlots([{ start: 3221225472, end: 4294967295 }], 64)).toHaveLength(16);
});

test('ranges that are no set of whole slots are refused', () => {
  const refused = [
    [{ start: 1, end: 1073741823 }],
    [{ start: 0, end: 1073741822 }],
    [{ start: 1073741824, end: 0 }],
    [{ start: 0, end: 4294967296 }],
    [{ start: -67108864, end: 67108863 }],
    [
      { start: 0, end: 67108863 },
      { start: 0, end: 67108863 },
    ],
  ];
  for (const ranges of refused) expect(() => rangesToSlots(ranges, 64)).toThrow(HashRangeError);
});

test('slot counts are powers of two from 64 to 4096', () => {
  expect([32, 64, 100, 256, 4096, 8192].map(isSlotCount)).toEqual([false, true, false, true, true, false]);
});

test('slots and their text convert both ways without loss, and the text is bounded', () => {
  fc.assert(
    fc.property(
      slotCounts.chain((n) => fc.tuple(fc.constant(n), fc.uniqueArray(fc.nat(n - 1), { maxLength: n }))),
      ([n, slots]) => {
        const text = slotsToText(slots);
        expect(textToSlots(text, n)).toEqual([...slots].sort((a, b) => a - b));
        expect(text.length).toBeLessThanOrEqual(MAX_SLOT_TEXT);
      },
    ),
  );
  const everySecond = Array.from({ length: 2048 }, (_, i) => 2 * i + 1);
  expect(slotsToText(everySecond).length).toBeLessThanOrEqual(MAX_SLOT_TEXT);
  expect(slotsToText([3, 0, 1, 2, 7])).toBe('0-3,7');
}, 30_000);

test.each(['x', '0,', '5-3', '3,2', '3,3', '256', '0-256', '-1', '1.5', '99999'])('%s names no slots', (text) => {
  expect(() => textToSlots(text, 256)).toThrow(HashRangeError);
});
