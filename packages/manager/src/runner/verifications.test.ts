import { SteppingClock } from '@shard-controller/shared/testing';
import { expect, it, vi } from 'vitest';
import { defaultSettings, evolve, initialState, type ShardEvent, shardIdOf } from '../aggregate/index.ts';
import { FakeLink } from '../testing/index.ts';
import { Verifications } from './verifications.ts';

const [source, target] = [shardIdOf(0), shardIdOf(1)];
const events: ShardEvent[] = [
  {
    type: 'shard.config.accepted.v1',
    at: 0,
    uid: 'uid-1',
    namespace: 'monitoring',
    name: 'main',
    specGeneration: 1,
    settings: defaultSettings,
    revision: 'r1',
  },
  { type: 'shard.scaled.v1', at: 0, from: 0, to: 2, trigger: 'initial', reason: 'first' },
  { type: 'shard.migration.planned.v1', at: 0, id: 'm1', cause: 'resize', source, target, slots: [3], reason: 'r' },
  { type: 'shard.migration.started.v1', at: 0, id: 'm1', deadline: 1 },
  { type: 'shard.migration.acknowledged.v1', at: 0, id: 'm1', acknowledgedAt: 0, objects: 1, deadline: 5_000 },
];
const state = events.reduce((folded, event) => evolve(folded, event, folded.sequence + 1), initialState);

it('a question that cannot be sent ends in a verification that failed, and never in an unhandled rejection', async () => {
  const unhandled = vi.fn();
  process.on('unhandledRejection', unhandled);
  try {
    const onResult = vi.fn();
    const link = new FakeLink(() => {
      throw new Error('message of 77000 bytes is too large');
    });
    const verifications = new Verifications({ link, clock: new SteppingClock(), onResult });
    expect(verifications.update(state, 0)).toEqual([]);
    await expect.poll(() => onResult.mock.calls.length).toBe(1);
    expect(verifications.update(state, 0)).toEqual([
      { type: 'VerificationFinished', migration: 'm1', equal: false, detail: 'message of 77000 bytes is too large' },
    ]);
    expect(unhandled).not.toHaveBeenCalled();
  } finally {
    process.off('unhandledRejection', unhandled);
  }
});
