import { ManualClock } from '@shard-controller/shared/testing';
import { expect, it } from 'vitest';
import { isolationOf } from './isolation.ts';

it('is isolated only when NATS is gone and the API server has been silent for long', () => {
  const clock = new ManualClock();
  const apiProofMs = clock.monotonic();
  clock.freeze(20_000);
  expect(isolationOf({ natsConnected: false, apiProofMs }, clock)).toBeUndefined();
  clock.freeze(10_000);
  expect(isolationOf({ natsConnected: true, apiProofMs }, clock)).toBeUndefined();
  expect(isolationOf({ natsConnected: false, apiProofMs: undefined }, clock)).toBeUndefined();
  expect(isolationOf({ natsConnected: false, apiProofMs }, clock)).toMatch(/neither NATS nor the API server.*30 s/);
});
