import { expect, test } from 'vitest';
import { showedEverything } from './shard-instance-status.ts';

test.each([
  ['Running', 'serving', true],
  ['Running', 'standby: replica a of this shard serves', true],
  ['Pending', 'serving', true],
  ['Draining', 'draining: terminating; serves until its slots are released', true],
  ['Warming', 'warming: /api/v1/pods is not rendered yet', false],
  ['Warming', 'standby: replica a of this shard serves', false],
  ['Pending', undefined, false],
] as const)(
  'a worker in phase %s with its gateway %s had seen its exporter show everything: %s',
  (phase, gateway, is) => {
    expect(showedEverything({ phase, gateway })).toBe(is);
  },
);

test('nothing is known of a worker that never said anything', () => {
  expect(showedEverything(undefined)).toBe(false);
});
