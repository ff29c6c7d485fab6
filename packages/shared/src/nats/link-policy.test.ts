import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { delayBeforeAttempt, isOldVersion, serverNames } from './link-policy.ts';

describe('the version of the server', () => {
  it.each(['2.12.0', '2.12.0-RC.1', '2.15.2', '3.0.0'])('%s is new enough', (version) => {
    expect(isOldVersion(version)).toBe(false);
  });

  it.each(['2.9.10', '2.11.99', '1.99.0', 'unknown', ''])('%s is too old', (version) => {
    expect(isOldVersion(version)).toBe(true);
  });
});

describe('the wait before the next dial', () => {
  it('is at most a second and never none, however often it failed', () => {
    fc.assert(
      fc.property(fc.nat(100_000), fc.double({ min: 0, max: 0.999, noNaN: true }), (failures, random) => {
        const delay = delayBeforeAttempt(failures, random);
        expect(delay).toBeLessThanOrEqual(1000);
        expect(delay).toBeGreaterThanOrEqual(50);
      }),
    );
  });

  it('differs between the members of a fleet', () => {
    expect(delayBeforeAttempt(5, 0)).not.toBe(delayBeforeAttempt(5, 0.9));
  });
});

it('server names for the log hold no credentials', () => {
  expect(serverNames(['nats://user:secret@nats.example:4222', 'tls://token@10.0.0.1:4222', 'plain:4222'])).toEqual([
    'nats.example:4222',
    '10.0.0.1:4222',
    'plain:4222',
  ]);
});
