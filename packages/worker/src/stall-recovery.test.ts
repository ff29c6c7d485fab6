import { createLogger } from '@shard-controller/shared/observability';
import { expect, test } from 'vitest';
import { stallRecovery, type StallRecoveryParts } from './stall-recovery.ts';
import { identity } from './testing/fixtures.ts';

const logger = createLogger({ name: 'test', level: 'fatal' });
const SIGNAL = new AbortController().signal;

const parts = (over: Partial<StallRecoveryParts> = {}): StallRecoveryParts => ({
  identity,
  source: { read: () => Promise.resolve(undefined) },
  assignment: () => undefined,
  link: () => undefined,
  hasStandby: () => false,
  logger,
  onStall: () => {},
  onOpen: () => {},
  ...over,
});

test('waits for an answer without end only where a standby serves meanwhile', () => {
  const limits = [false, true].map((hasStandby) => stallRecovery(parts({ hasStandby: () => hasStandby })).limitMs());
  expect(limits).toEqual([2_000, undefined]);
});

test('is confirmed by the ShardInstance, and without the API server only by the other replica', async () => {
  await expect(stallRecovery(parts()).confirm(SIGNAL)).resolves.toBeUndefined();
  const source = { read: () => Promise.reject(new Error('no route to host')) };
  await expect(stallRecovery(parts({ source })).confirm(SIGNAL)).rejects.toThrow('no other replica stands by');
});

test('tells of a stall and of its end, however that came', () => {
  const told: string[] = [];
  const { onStall, onOpen } = stallRecovery(
    parts({ onStall: () => told.push('stalled'), onOpen: () => told.push('open') }),
  );
  onStall(3_000);
  onOpen({ confirmed: true, afterMs: 40 });
  onOpen({ confirmed: false, afterMs: 2_000, error: new Error('no answer') });
  expect(told).toEqual(['stalled', 'open', 'open']);
});
