import { describe, expect, it } from 'vitest';
import { fullJitter } from './backoff.ts';

describe('fullJitter', () => {
  it('stays between zero and a bound that doubles up to the cap', () => {
    const options = { baseMs: 100, capMs: 2_000 };
    const bounds = [0, 1, 2, 3, 4, 5, 5_000].map((attempt) => fullJitter(attempt, options, () => 1));
    expect(bounds).toEqual([100, 200, 400, 800, 1_600, 2_000, 2_000]);
    expect(fullJitter(9, options, () => 0)).toBe(0);
  });
});
