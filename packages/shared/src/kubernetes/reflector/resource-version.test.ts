import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compareResourceVersion, ResourceVersionError } from './resource-version.ts';

describe('compareResourceVersion', () => {
  const version = fc.bigInt({ min: 1n, max: 10n ** 40n });

  it('orders numbers of any length as numbers', () => {
    fc.assert(
      fc.property(version, version, (a, b) => {
        const sign = Math.sign(compareResourceVersion(String(a), String(b)));
        expect(sign).toBe(a < b ? -1 : a > b ? 1 : 0);
      }),
    );
  });

  it.each(['', '0', '007', 'abc', '-1', '1.5', '0x10', ' 1', '1\n'])('refuses %j, which has no order', (bad) => {
    expect(() => compareResourceVersion(bad, '1')).toThrow(ResourceVersionError);
  });
});
