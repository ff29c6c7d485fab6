import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DurationError, formatGoDuration, parseGoDuration } from './go-duration.ts';

describe('parseGoDuration', () => {
  it.each([
    ['0', 0],
    ['0s', 0],
    ['300ms', 300],
    ['2s', 2000],
    ['1.5h', 5_400_000],
    ['.5s', 500],
    ['1h2m3.5s', 3_723_500],
    ['1m1ms', 60_001],
    ['1500us', 1.5],
    ['2µs', 0.002],
    ['1h1h', 7_200_000],
  ])('reads %s as %d ms', (text, ms) => {
    expect(parseGoDuration(text)).toBe(ms);
  });

  it.each(['', '5', 's', '1d', '1 s', '-1s', '+1s', '1s ', 'x1s', '1s2', '1.s.', '1e3s', 'Infinityh'])(
    'refuses %j and says what to write',
    (text) => {
      expect(() => parseGoDuration(text)).toThrow(DurationError);
      expect(() => parseGoDuration(text)).toThrow(/like 500ms, 30s, 5m or 1h30m/);
    },
  );
});

describe('formatGoDuration', () => {
  it.each([
    [0, '0s'],
    [0.25, '250us'],
    [300, '300ms'],
    [1500, '1.5s'],
    [60_000, '1m'],
    [3_723_500, '1h2m3.5s'],
    [86_400_000, '24h'],
    [3_600_001, '1h0.001s'],
  ])('writes %d ms as %s', (ms, text) => {
    expect(formatGoDuration(ms)).toBe(text);
  });

  it('is undone by the parse, to the microsecond', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 1e12 }), (us) => {
        expect(parseGoDuration(formatGoDuration(us / 1000))).toBeCloseTo(us / 1000, 3);
      }),
    );
  });

  it.each([-1, Number.NaN, Number.POSITIVE_INFINITY])('refuses %d', (ms) => {
    expect(() => formatGoDuration(ms)).toThrow(DurationError);
  });
});
