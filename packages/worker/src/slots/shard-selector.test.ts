import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { shardSelector } from './shard-selector.ts';

const TERM = /^shardRange\(object\.metadata\.uid, '0x([0-9a-f]{16,17})', '0x([0-9a-f]{16,17})'\)$/;

function rangesOf(selector: string): (readonly [bigint, bigint])[] {
  return selector.split(' || ').map((term) => {
    const match = TERM.exec(term);
    if (match === null) throw new Error(`not a term: ${term}`);
    return [BigInt(`0x${match[1]}`), BigInt(`0x${match[2]}`)] as const;
  });
}

describe('a shard selector', () => {
  test('names half-open ranges of the 64-bit hash', () => {
    expect(shardSelector('uid', [0, 1, 255], 256)).toBe(
      "shardRange(object.metadata.uid, '0x0000000000000000', '0x0200000000000000')" +
        " || shardRange(object.metadata.uid, '0xff00000000000000', '0x10000000000000000')",
    );
    expect(shardSelector('namespace', [1], 64)).toBe(
      "shardRange(object.metadata.namespace, '0x0400000000000000', '0x0800000000000000')",
    );
  });

  test('of no slots matches next to nothing, because an empty range is refused', () => {
    expect(rangesOf(shardSelector('uid', [], 256))).toEqual([[0n, 1n]]);
  });

  test('covers every slot, in ascending ranges that do not touch, and stays below 6 KB', () => {
    const sets = fc.uniqueArray(fc.integer({ min: 0, max: 4095 }), { minLength: 1, maxLength: 4096 });
    fc.assert(
      fc.property(sets, (set) => {
        const slots = set.toSorted((a, b) => a - b);
        const selector = shardSelector('uid', slots, 4096);
        expect(selector.length).toBeLessThan(6_000);
        const ranges = rangesOf(selector);
        let before = -1n;
        for (const [start, end] of ranges) {
          expect(start).toBeGreaterThan(before);
          expect(end).toBeGreaterThan(start);
          before = end;
        }
        for (const slot of slots) {
          const from = BigInt(slot) << 52n;
          expect(ranges.some(([start, end]) => start <= from && from + (1n << 52n) <= end)).toBe(true);
        }
      }),
    );
  });

  test('closes the smallest gaps first when there are too many ranges', () => {
    const slots = Array.from({ length: 66 }, (_, i) => i * 8)
      .concat([2, 20])
      .toSorted((a, b) => a - b);
    const ranges = rangesOf(shardSelector('uid', slots, 1024));
    expect(ranges).toHaveLength(64);
    expect(ranges[0]).toEqual([0n, 9n << 54n]);
  });
});
