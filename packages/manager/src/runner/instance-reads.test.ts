import { SteppingClock } from '@shard-controller/shared/testing';
import { describe, expect, it } from 'vitest';
import { InstanceReads } from './instance-reads.ts';

function reads() {
  const clock = new SteppingClock();
  const asked: { readonly shardId: string; readonly answer: (isAnswered: boolean) => void }[] = [];
  let answers = 0;
  const instanceReads = new InstanceReads({
    cluster: {
      readInstance: (_, shardId) => {
        const { promise, resolve } = Promise.withResolvers<boolean>();
        asked.push({ shardId, answer: resolve });
        return promise;
      },
    },
    config: 'main',
    clock,
    onAnswer: () => {
      answers += 1;
    },
  });
  return { clock, asked, instanceReads, answers: () => answers };
}

describe('InstanceReads', () => {
  it('asks once a second for a silent worker, and not before the last answer came', async () => {
    const { clock, asked, instanceReads } = reads();
    instanceReads.want(['shard-000']);
    instanceReads.want(['shard-000']);
    expect(asked).toHaveLength(1);
    await clock.sleep(1_000);
    instanceReads.want(['shard-000']);
    expect(asked).toHaveLength(1);
    asked[0]?.answer(false);
    await Promise.resolve();
    instanceReads.want(['shard-000']);
    expect(asked).toHaveLength(2);
  });

  it('says so when there is an answer, and only then', async () => {
    const { asked, instanceReads, answers } = reads();
    instanceReads.want(['shard-000', 'shard-001']);
    asked[0]?.answer(false);
    await Promise.resolve();
    expect(answers()).toBe(0);
    asked[1]?.answer(true);
    await Promise.resolve();
    expect(answers()).toBe(1);
  });

  it('reads sixteen at a time, the others when these are done', async () => {
    const { asked, instanceReads } = reads();
    const all = Array.from({ length: 20 }, (_, i) => `shard-${String(i).padStart(3, '0')}`);
    instanceReads.want(all);
    expect(asked).toHaveLength(16);
    for (const { answer } of asked) answer(true);
    await Promise.resolve();
    instanceReads.want(all);
    expect(asked).toHaveLength(20);
  });
});
