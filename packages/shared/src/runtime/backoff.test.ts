import { describe, expect, it } from 'vitest';
import { Backoff, fullJitter } from './backoff.ts';

describe('fullJitter', () => {
  it('stays between zero and a bound that doubles up to the cap', () => {
    const options = { baseMs: 100, capMs: 2_000 };
    const bounds = [0, 1, 2, 3, 4, 5, 5_000].map((attempt) => fullJitter(attempt, options, () => 1));
    expect(bounds).toEqual([100, 200, 400, 800, 1_600, 2_000, 2_000]);
    expect(fullJitter(9, options, () => 0)).toBe(0);
  });
});

describe('Backoff', () => {
  it('waits longer after each failure in a row, and begins again after a success', () => {
    const backoff = new Backoff(() => 1, { baseMs: 50, capMs: 150 });
    const waits = [backoff.next(), backoff.next(), backoff.next()];
    backoff.reset();
    expect([...waits, backoff.next()]).toEqual([50, 100, 150, 50]);
  });
});
