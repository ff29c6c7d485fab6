import { describe, expect, it } from 'vitest';
import { parseQuantity } from './quantity.ts';

describe('parseQuantity', () => {
  it.each([
    ['200m', 0.2],
    ['1', 1],
    ['1.5', 1.5],
    ['.5', 0.5],
    ['2k', 2000],
    ['256Mi', 268_435_456],
    ['1.5Gi', 1_610_612_736],
    ['64M', 64_000_000],
    ['1e3', 1000],
    ['1E3', 1000],
    ['1E', 1e18],
    ['100n', 1e-7],
    [4, 4],
  ])('reads %s as %d', (text, value) => {
    expect(parseQuantity(text)).toBeCloseTo(value, 9);
  });

  it.each(['', 'm', '1 Gi', '1gi', '-1', '1GB', '0x10', '1e1000'])('refuses %j', (text) => {
    expect(parseQuantity(text)).toBeUndefined();
  });
});
