import type { VerifyReply, VerifyRequest } from '@shard-controller/shared/contracts';
import { verifyRequestSchema } from '@shard-controller/shared/contracts';
import { describe, expect, it } from 'vitest';
import { type FakeAnswer, FakeLink, SteppingClock } from './testing.ts';
import { type VerificationResult, type VerificationTask, verifyMigration } from './verification.ts';

const SOURCE = 'shard.verify.monitoring.main.shard-000.a';
const TARGET = 'shard.verify.monitoring.main.shard-002.b';

const task: VerificationTask = {
  namespace: 'monitoring',
  config: 'main',
  uid: 'uid-1',
  migration: 'm1',
  source: { shardId: 'shard-000', replica: 'a' },
  target: { shardId: 'shard-002', replica: 'b' },
  ranges: [{ start: 0, end: 16777215 }],
  deadline: 10_000,
};

const feed = (name: string, at: string, count: number, digest = '00000000000000aa') => ({
  feed: name,
  at,
  count,
  digest,
});
const reply = (...feeds: VerifyReply['feeds']): VerifyReply => ({ v: 'shard.verify.v1', migration: 'm1', feeds });

interface Run {
  readonly result: VerificationResult;
  readonly link: FakeLink;
  readonly clock: SteppingClock;
}

async function run(answer: (subject: string, request: VerifyRequest) => FakeAnswer): Promise<Run> {
  const link = new FakeLink((subject, body) => answer(subject, verifyRequestSchema.parse(body)));
  const clock = new SteppingClock();
  const result = await verifyMigration(task, { link, clock, signal: new AbortController().signal });
  return { result, link, clock };
}

describe('verifyMigration', () => {
  it('compares at once where both sides prove the same position', async () => {
    const { result, link } = await run(() => reply(feed('pods', '101', 7), feed('nodes', '99', 2)));
    expect(result).toEqual({ kind: 'equal', feeds: 2, objects: 9 });
    expect(link.asked.map(({ subject }) => subject)).toEqual([SOURCE, TARGET]);
    for (const { body } of link.asked) expect(verifyRequestSchema.parse(body).at).toEqual([]);
  });

  it('asks the side that is ahead again, as of where the other stands', async () => {
    const { result, link } = await run((subject, { at }) => {
      const asked = at.map(({ feed: name, resourceVersion }) => feed(name, resourceVersion, 7));
      if (asked.length > 0) return reply(...asked);
      return subject === SOURCE
        ? reply(feed('pods', '101', 8), feed('nodes', '99', 7), feed('jobs', '', 0))
        : reply(feed('pods', '99', 7), feed('nodes', '101', 9), feed('jobs', '', 0));
    });
    expect(result).toEqual({ kind: 'equal', feeds: 3, objects: 14 });
    expect(link.asked.slice(2)).toMatchObject([
      { subject: SOURCE, body: { at: [{ feed: 'pods', resourceVersion: '99' }] } },
      { subject: TARGET, body: { at: [{ feed: 'nodes', resourceVersion: '99' }] } },
    ]);
  });

  it('makes a side prove that it has nothing where the other has something', async () => {
    const { result, link } = await run((subject, { at }) => {
      if (at.length > 0) return reply(feed('pods', '101', 0, '0000000000000000'));
      return reply(subject === SOURCE ? feed('pods', '101', 7) : feed('pods', '', 0, '0000000000000000'));
    });
    expect(result).toMatchObject({ kind: 'different' });
    expect(link.asked[2]).toMatchObject({ subject: TARGET, body: { at: [{ feed: 'pods', resourceVersion: '101' }] } });
  });

  it('counts a difference only when it is seen three times', async () => {
    const { result, link } = await run((subject) => reply(feed('pods', '101', subject === SOURCE ? 7 : 6)));
    expect(result).toMatchObject({ kind: 'different' });
    expect(result.kind === 'different' && result.reason).toContain('source has 7 objects');
    expect(link.asked).toHaveLength(6);
  });

  it('accepts a target that agrees when asked again', async () => {
    let asked = 0;
    const { result } = await run((subject) => {
      if (subject === TARGET) asked += 1;
      return reply(feed('pods', '101', 7, subject === TARGET && asked === 1 ? '00000000000000ab' : '00000000000000aa'));
    });
    expect(result.kind).toBe('equal');
    expect(asked).toBe(2);
  });

  it('treats an answer for another position as no answer', async () => {
    const { result } = await run((subject) =>
      reply(feed('pods', subject === SOURCE ? '101' : '100', 7), feed('nodes', subject === SOURCE ? '7' : '8', 1)),
    );
    expect(result).toMatchObject({ kind: 'unanswered' });
  });

  it('does not take zero feeds for agreement', async () => {
    const { result } = await run(() => reply());
    expect(result).toEqual({ kind: 'unanswered', reason: 'the source answered for no feed' });
  });

  it('gives up at the deadline when the target stays silent, and says who', async () => {
    const { result, clock } = await run((subject) => (subject === SOURCE ? reply(feed('pods', '1', 1)) : 'timeout'));
    expect(result).toEqual({ kind: 'unanswered', reason: 'shard-002: timeout' });
    expect(clock.monotonic()).toBeGreaterThanOrEqual(task.deadline);
  });

  it('passes on why a worker could not answer', async () => {
    const { result } = await run(() => ({ ...reply(), error: 'feed pods never reached 101' }));
    expect(result).toEqual({ kind: 'unanswered', reason: 'shard-000: feed pods never reached 101' });
  });

  it('is not confused by garbage or by an answer to another question', async () => {
    expect((await run(() => ({ hello: 'world' }))).result.kind).toBe('unanswered');
    expect((await run(() => ({ ...reply(feed('pods', '1', 1)), migration: 'm2' }))).result.kind).toBe('unanswered');
  });
});
