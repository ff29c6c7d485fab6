import type { Assignment } from '@shard-controller/shared/contracts';
import { createLogger } from '@shard-controller/shared/observability';
import { systemClock } from '@shard-controller/shared/runtime';
import { expect, it } from 'vitest';
import { assignmentOver, identity } from '../testing/fixtures.ts';
import { AssignmentNotices } from './nats-source.ts';

type Epoch = Pick<Assignment, 'generation' | 'epoch'>;

/** Notices before a ShardInstance that `held` says, as it is at the moment of a read. */
function hearing(held: () => Epoch | 'no answer') {
  const counted: string[] = [];
  const lines: string[] = [];
  let reads = 0;
  let seen: Epoch | undefined = { generation: 1, epoch: 10 };
  const notices = new AssignmentNotices({
    identity,
    keeper: {
      heard: (_, outcome) => counted.push(outcome),
      invalid: (_, problem) => counted.push(problem),
    },
    source: {
      read: async () => {
        reads += 1;
        const now = held();
        if (now === 'no answer') throw new Error('the API server does not answer');
        seen = now;
        return undefined;
      },
      get held() {
        return seen;
      },
    },
    clock: systemClock,
    logger: createLogger({ name: 'test', destination: { write: (line: string) => void lines.push(line) } }),
    onChange: () => undefined,
  });
  const hear = (raw: unknown): void => notices.hear(raw, AbortSignal.timeout(10_000));
  return { notices, counted, lines, hear, reads: () => reads };
}

it('reads the ShardInstance when NATS names a newer assignment', async () => {
  const { hear, counted, notices, reads } = hearing(() => ({ generation: 1, epoch: 11 }));
  hear(assignmentOver({ epoch: 11 }));
  await expect.poll(() => counted).toEqual(['confirmed']);
  hear(assignmentOver({ epoch: 11 }));
  hear(assignmentOver({ epoch: 4 }));
  expect(counted).toEqual(['confirmed', 'current', 'current']);
  expect(reads()).toBe(1);
  expect(notices.unconfirmed).toBeUndefined();
});

it('names an assignment that the ShardInstance does not hold, until a true one stands on NATS again', async () => {
  const { hear, counted, notices, lines } = hearing(() => ({ generation: 1, epoch: 10 }));
  hear(assignmentOver({ generation: 1_000_000, epoch: 7 }));
  await expect.poll(() => counted).toEqual(['unconfirmed']);
  expect(notices.unconfirmed).toBe('NATS names assignment 1000000/7, which the ShardInstance does not hold: ignored');
  expect(lines.join()).toContain('shard.assignments.monitoring.main.shard-001');
  hear(assignmentOver({ epoch: 10 }));
  expect(notices.unconfirmed).toBeUndefined();
});

it('reads until the API server answers, and once for all that came meanwhile', async () => {
  let answers = false;
  const { hear, counted, reads, notices } = hearing(() => (answers ? { generation: 1, epoch: 30 } : 'no answer'));
  for (let epoch = 11; epoch <= 30; epoch++) hear(assignmentOver({ epoch }));
  await expect.poll(() => reads()).toBeGreaterThan(0);
  expect(counted).toEqual([]);
  answers = true;
  await expect.poll(() => counted).toEqual(['confirmed']);
  expect(notices.unconfirmed).toBeUndefined();
});

it('reads nothing for an invalid message, nor for another shard or another ShardConfig of this name', () => {
  const { hear, counted, reads } = hearing(() => ({ generation: 1, epoch: 10 }));
  for (const raw of [null, 7, {}, { generation: 9, epoch: 9 }, { ...assignmentOver(), epoch: -1 }]) hear(raw);
  hear(assignmentOver({ epoch: 99, shardId: 'shard-002' }));
  hear(assignmentOver({ epoch: 99, shardConfig: { namespace: 'monitoring', name: 'main', uid: 'forged' } }));
  expect(counted).toHaveLength(7);
  expect(counted.slice(-2)).toEqual([
    'it is for shard-002 of ShardConfig uid uid-1',
    'it is for shard-001 of ShardConfig uid forged',
  ]);
  expect(reads()).toBe(0);
});
