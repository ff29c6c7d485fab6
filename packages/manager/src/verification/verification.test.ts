import {
  type KindAnswer,
  MAX_KINDS_ASKED,
  MAX_NAMESPACES_ASKED,
  type NamespaceScope,
  type VerifyReply,
  type VerifyRequest,
  verifyRequestSchema,
} from '@shard-controller/shared/contracts';
import { SteppingClock } from '@shard-controller/shared/testing';
import { describe, expect, it } from 'vitest';
import { type FakeAnswer, FakeLink } from '../testing/index.ts';
import { comparedEverything, verificationText } from './verification-text.ts';
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
  slots: [0],
  slotCount: 256,
  sameTemplate: true,
  sourceEnds: false,
  deadline: 60_000,
};
/** The target runs another template. */
const rolled = { sameTemplate: false };

const kind = (name: string, at: string, count: number, digest = '00000000000000aa'): KindAnswer => ({
  kind: name,
  scope: '',
  at,
  count,
  digest,
});
const broken = (name: string, problem: string, sinceMs: number): KindAnswer => ({
  kind: name,
  scope: '',
  problem,
  sinceMs,
});
const reply = (...kinds: KindAnswer[]): VerifyReply => ({
  v: 'shard.verify.v2',
  migration: 'm1',
  settled: true,
  kinds,
});

interface Run {
  readonly result: VerificationResult;
  readonly link: FakeLink;
  readonly clock: SteppingClock;
}

async function run(
  answer: (subject: string, request: VerifyRequest) => FakeAnswer,
  over: Partial<VerificationTask> = {},
): Promise<Run> {
  const link = new FakeLink((subject, body) => answer(subject, verifyRequestSchema.parse(body)));
  const clock = new SteppingClock();
  const result = await verifyMigration({ ...task, ...over }, { link, clock, signal: new AbortController().signal });
  return { result, link, clock };
}

/** Both sides say always the same. */
const between = (source: readonly KindAnswer[], target: readonly KindAnswer[], over?: Partial<VerificationTask>) =>
  run((subject) => reply(...(subject === SOURCE ? source : target)), over);

const questionsOf = (link: FakeLink): VerifyRequest['question'][] =>
  link.asked.map(({ body }) => verifyRequestSchema.parse(body).question);

describe('verifyMigration', () => {
  it('compares at once where both sides prove the same position', async () => {
    const { result, link } = await run(() => reply(kind('pods', '101', 7), kind('nodes', '99', 2)));
    expect(result).toMatchObject({ kind: 'verified', kinds: 2, objects: 9 });
    expect(verificationText(result)).toBe('9 objects of 2 kinds are equal on both sides');
    expect(comparedEverything(verificationText(result))).toBe(true);
    expect(link.asked.map(({ subject }) => subject)).toEqual([SOURCE, TARGET]);
    expect(questionsOf(link)).toEqual([{ ask: 'kinds' }, { ask: 'kinds' }]);
  });

  it('asks the side that is ahead again, as of where the other stands', async () => {
    const { result, link } = await run((subject, { question }) => {
      if (question.ask === 'positions') return reply(...question.kinds.map((asked) => kind(asked.kind, asked.at, 7)));
      return subject === SOURCE
        ? reply(kind('pods', '101', 8), kind('nodes', '99', 7), kind('jobs', '', 0))
        : reply(kind('pods', '99', 7), kind('nodes', '101', 9), kind('jobs', '', 0));
    });
    expect(result).toMatchObject({ kind: 'verified', kinds: 3, objects: 14 });
    expect(link.asked.slice(2)).toMatchObject([
      { subject: SOURCE, body: { question: { kinds: [{ kind: 'pods', at: '99' }] } } },
      { subject: TARGET, body: { question: { kinds: [{ kind: 'nodes', at: '99' }] } } },
    ]);
  });

  it('makes a side say what it has where the other has something', async () => {
    const { result, link } = await run((subject, { question }) => {
      if (question.ask === 'positions') return reply(kind('pods', '101', 0, '0000000000000000'));
      return reply(subject === SOURCE ? kind('pods', '101', 7) : kind('pods', '', 0, '0000000000000000'));
    });
    expect(result).toMatchObject({ kind: 'different' });
    expect(link.asked[2]).toMatchObject({
      subject: TARGET,
      body: { question: { kinds: [{ kind: 'pods', at: '101' }] } },
    });
  });

  it('counts a difference only when it is seen three times, the last ones proven by every watch', async () => {
    const { result, link } = await run((subject, { question }) => {
      const count = subject === SOURCE ? 7 : 6;
      if (question.ask === 'positions') return reply(kind('pods', '101', count));
      return reply(kind('pods', subject === SOURCE ? '102' : '101', count));
    });
    expect(result).toMatchObject({ kind: 'different' });
    expect(result.kind === 'different' && result.reason).toContain('source has 7 ');
    const proven = questionsOf(link).flatMap((question) => (question.ask === 'positions' ? [question.proven] : []));
    expect(proven).toEqual([false, true, true]);
  });

  it('accepts a target that agrees when asked again', async () => {
    let asked = 0;
    const { result } = await run((subject) => {
      if (subject === TARGET) asked += 1;
      return reply(kind('pods', '101', 7, subject === TARGET && asked === 1 ? '00000000000000ab' : '00000000000000aa'));
    });
    expect(result.kind).toBe('verified');
    expect(asked).toBe(2);
  });

  it('gives up at the deadline when the target stays silent, and says who', async () => {
    const { result, clock } = await run((subject) => (subject === SOURCE ? reply(kind('pods', '1', 1)) : 'timeout'));
    expect(result).toEqual({ kind: 'unanswered', reason: 'shard-002: timeout' });
    expect(clock.monotonic()).toBeGreaterThanOrEqual(task.deadline);
  });

  it('passes on why a worker could not answer', async () => {
    const { result } = await run(() => ({ ...reply(), error: 'this worker has no assignment' }));
    expect(result).toEqual({ kind: 'unanswered', reason: 'shard-000: this worker has no assignment' });
  });

  it('is not confused by an invalid answer, by an answer to another question or by pages without an end', async () => {
    expect((await run(() => ({ hello: 'world' }))).result.kind).toBe('unanswered');
    expect((await run(() => ({ ...reply(kind('pods', '1', 1)), migration: 'm2' }))).result.kind).toBe('unanswered');
    expect((await run(() => ({ ...reply(kind('pods', '1', 1)), next: 'a' }))).result).toMatchObject({
      kind: 'unanswered',
      reason: expect.stringContaining('repeats its answer'),
    });
  });

  it('never rejects, whatever the link does', async () => {
    const link = new FakeLink(() => {
      throw new Error('message of 77000 bytes is too large');
    });
    const context = { link, clock: new SteppingClock(), signal: new AbortController().signal };
    await expect(verifyMigration(task, context)).resolves.toEqual({
      kind: 'unanswered',
      reason: 'message of 77000 bytes is too large',
    });
  });

  it('goes on, and says so, where a worker of the version before cannot be asked by kind', async () => {
    const { result } = await run((subject) =>
      subject === SOURCE ? { v: 'shard.verify.v1', migration: '', feeds: [], error: 'v: Invalid' } : reply(),
    );
    expect(result.kind).toBe('unasked');
    expect(verificationText(result)).toMatch(/^nothing was compared: shard-000 runs an earlier version/);
  });
});

describe('what only one side exports', () => {
  const pods = kind('pods', '1', 5);

  it('is named and waited for by nobody after a change of the template', async () => {
    const { result, clock } = await between([pods, kind('jobs', '1', 3)], [pods, kind('leases', '1', 9)], rolled);
    expect(result).toMatchObject({ kind: 'verified', kinds: 1, objects: 5 });
    expect(verificationText(result)).toBe(
      '5 objects of 1 kinds are equal on both sides; only the source exports jobs; only the target exports leases',
    );
    expect(comparedEverything(verificationText(result))).toBe(false);
    expect(clock.monotonic()).toBeLessThan(2_000);
  });

  it('by the same template is waited for a while: the target may be about to open it', async () => {
    const { result, clock } = await between([pods, kind('jobs', '1', 3)], [pods]);
    expect(result).toMatchObject({ kind: 'verified', leftOut: { sourceOnly: ['jobs'] } });
    expect(clock.monotonic()).toBeGreaterThanOrEqual(10_000);
    expect(clock.monotonic()).toBeLessThan(15_000);
    expect((await between([pods, kind('jobs', '', 0)], [pods])).clock.monotonic()).toBeLessThan(1_000);
  });

  it('may be everything, if that was asked for by another template, and is a failure else', async () => {
    const other = [kind('nodes', '1', 5)];
    expect((await between([pods], other, rolled)).result).toMatchObject({ kind: 'verified', kinds: 0 });
    expect((await between([pods], other)).result).toEqual({
      kind: 'unanswered',
      reason: 'the two sides export no kind in common',
    });
  });

  it('is not judged before the target has opened its watches', async () => {
    const start = { ...reply(), settled: false };
    const { result } = await run((subject) => (subject === SOURCE ? reply(pods) : start), rolled);
    expect(result).toEqual({ kind: 'unanswered', reason: 'the target has yet to open its watches' });
  });

  it('is everything of the target where the source shows nothing any more', async () => {
    const { result, clock } = await run((subject) =>
      subject === SOURCE ? { ...reply(), settled: false } : reply(pods),
    );
    expect(result).toMatchObject({ kind: 'verified', kinds: 0 });
    expect(verificationText(result)).toContain('the source was still opening its watches');
    expect(clock.monotonic()).toBeGreaterThanOrEqual(10_000);
  });

  it('is named briefly, however much it is', async () => {
    const many = Array.from({ length: 600 }, (_, i) => kind(`${'k'.repeat(100)}${i}`, '1', 1));
    const { result } = await run((subject, { question }) => {
      const all = subject === SOURCE ? [pods, ...many].toSorted((a, b) => (a.kind < b.kind ? -1 : 1)) : [pods];
      const after = question.ask === 'kinds' ? (question.after ?? '') : '';
      const rest = all.filter((each) => each.kind > after);
      const page = rest.slice(0, MAX_KINDS_ASKED);
      return { ...reply(...page), ...(rest.length > page.length ? { next: page.at(-1)?.kind } : {}) };
    }, rolled);
    expect(verificationText(result)).toMatch(
      /^5 objects of 1 kinds are equal on both sides; only the source exports k/,
    );
    expect(verificationText(result)).toContain('and 597 more');
    expect(verificationText(result).length).toBeLessThanOrEqual(500);
  });
});

describe('a kind that cannot be counted', () => {
  const pods = kind('pods', '1', 5);
  const forbidden = broken('jobs', 'jobs is forbidden', 0);

  it('blocks only itself, for a while, and is named', async () => {
    const { result, clock } = await between([pods, forbidden], [pods, forbidden]);
    expect(verificationText(result)).toBe(
      '5 objects of 1 kinds are equal on both sides; not counted: jobs (jobs is forbidden)',
    );
    expect(clock.monotonic()).toBeGreaterThanOrEqual(10_000);
  });

  it('is not waited for where it has been so for longer, or is known to be broken', async () => {
    const old = broken('jobs', 'jobs is forbidden', 20_000);
    expect((await between([pods, old], [pods, forbidden])).clock.monotonic()).toBe(0);
    const known = { ...forbidden, known: true };
    const { result, clock } = await between([pods, kind('jobs', '', 0)], [pods, known]);
    expect(result.kind).toBe('verified');
    expect(clock.monotonic()).toBe(0);
  });

  it('by the target alone keeps the slots where they are, unless the source ends or the template is another', async () => {
    const sides = [
      [pods, kind('jobs', '1', 3)],
      [pods, broken('jobs', 'deaf', 20_000)],
    ] as const;
    expect((await between(...sides)).result).toEqual({ kind: 'unanswered', reason: 'jobs: deaf' });
    expect((await between(...sides, { sourceEnds: true })).result.kind).toBe('verified');
    expect((await between(...sides, rolled)).result.kind).toBe('verified');
  });

  it('is no evidence by itself: without a kind that was compared nothing is verified', async () => {
    const { result } = await between([broken('pods', 'deaf', 20_000)], [broken('pods', 'deaf', 20_000)]);
    expect(result).toEqual({ kind: 'unanswered', reason: 'pods: deaf; no kind was compared' });
  });

  it('counts when it is asked for the other position and cannot tell', async () => {
    const { result } = await run((subject, { question }) => {
      if (question.ask === 'positions') return reply(broken('pods', 'too long ago', 0));
      return reply(kind('pods', subject === SOURCE ? '2' : '1', 5), kind('nodes', '1', 1));
    });
    expect(result).toMatchObject({ kind: 'verified', leftOut: { uncounted: [{ kind: 'pods' }] } });
  });
});

describe('a kind that the two sides export of other namespaces', () => {
  const hash = (n: number): string => n.toString(16).padStart(16, '0');

  /** A side that exports one object of each of `namespaces` that its scope holds. */
  function side(scope: NamespaceScope, id: string, namespaces: readonly string[]) {
    const holds = (name: string): boolean => scope.names.includes(name) !== scope.except;
    return ({ question }: VerifyRequest): FakeAnswer => {
      if (question.ask === 'scope') {
        const rest = scope.names.filter((name) => name > (question.after ?? ''));
        const names = rest.slice(0, MAX_NAMESPACES_ASKED);
        const next = rest.length > names.length ? { next: names.at(-1) } : {};
        return { ...reply(), namespaces: { except: scope.except, names }, ...next };
      }
      const only = question.ask === 'positions' ? question.namespaces : undefined;
      const shown = namespaces.filter((name) => holds(name) && (only === undefined || only.includes(name)));
      const digest = hash(shown.reduce((sum, name) => sum + namespaces.indexOf(name) + 1, 0));
      const at = question.ask === 'positions' ? (question.kinds[0]?.at ?? '') : '7';
      return reply({ kind: 'pods', scope: id, at, count: shown.length, digest });
    };
  }

  const names = Array.from({ length: 1_000 }, (_, i) => `n${String(i).padStart(4, '0')}`);
  const allow = (from: number, to: number): NamespaceScope => ({ except: false, names: names.slice(from, to) });
  const deny = (from: number, to: number): NamespaceScope => ({ except: true, names: names.slice(from, to) });

  it.each([
    ['a,b -> b,c', allow(0, 2), allow(1, 3), 1],
    ['500 -> 500 others, 250 in common', allow(0, 500), allow(250, 750), 250],
    ['all -> 300 denied', deny(0, 0), deny(0, 300), 700],
    ['900 denied -> 300 others denied', deny(0, 900), deny(700, 1_000), 0],
    ['some -> all but some', allow(0, 600), deny(0, 10), 590],
  ])('%s: what both export is compared', async (_, source, target, common) => {
    const bySource = side(source, hash(1), names);
    const byTarget = side(target, hash(2), names);
    const { result } = await run((subject, request) => (subject === SOURCE ? bySource : byTarget)(request), rolled);
    expect(result).toMatchObject({ kind: 'verified', kinds: 1, objects: common, leftOut: { partly: ['pods'] } });
  });

  it('is different where the target lacks one of what both export', async () => {
    const bySource = side(allow(0, 2), hash(1), names);
    const byTarget = side(allow(1, 3), hash(2), ['n0002']);
    const { result } = await run((subject, request) => (subject === SOURCE ? bySource : byTarget)(request), rolled);
    expect(result).toMatchObject({ kind: 'different' });
  });

  it('has nothing to compare where the namespaces have nothing in common', async () => {
    const bySource = side(allow(0, 2), hash(1), names);
    const byTarget = side(allow(2, 4), hash(2), names);
    const { result } = await run((subject, request) => (subject === SOURCE ? bySource : byTarget)(request), rolled);
    expect(result).toMatchObject({ kind: 'verified', kinds: 0, leftOut: { sourceOnly: ['pods'] } });
  });

  it('asks questions that fit into a message, whatever the names', async () => {
    const long = Array.from({ length: 2_000 }, (_, i) => `${'n'.repeat(58)}${String(i).padStart(5, '0')}`);
    const scope = (from: number, to: number): NamespaceScope => ({ except: false, names: long.slice(from, to) });
    const bySource = side(scope(0, 1_500), hash(1), long);
    const byTarget = side(scope(500, 2_000), hash(2), long);
    const slots = Array.from({ length: 2_048 }, (_, i) => 2 * i + 1);
    const { result, link } = await run((subject, request) => (subject === SOURCE ? bySource : byTarget)(request), {
      ...rolled,
      slots,
      slotCount: 4_096,
    });
    expect(result).toMatchObject({ kind: 'verified', objects: 1_000 });
    for (const { body } of link.asked) expect(Buffer.byteLength(JSON.stringify(body))).toBeLessThan(64 * 1_024);
  }, 30_000);
});
