import type { KindPosition, VerifyReply, VerifyRequest } from '@shard-controller/shared/contracts';
import { expect, it } from 'vitest';
import { type FakeAnswer, FakeLink } from '../testing/index.ts';
import { proveRelease } from './release-proof.ts';

const TASK = {
  namespace: 'monitoring',
  config: 'main',
  uid: 'u',
  migration: 'm1',
  source: { shardId: 'shard-000', replica: 'a' as const },
  target: { shardId: 'shard-001', replica: 'b' as const },
  slots: [1, 2],
  slotCount: 256,
  deadline: Infinity,
};
const PODS: KindPosition = { kind: 'pods', at: '20' };
const NODES: KindPosition = { kind: 'nodes', at: '30' };

const says = (late: readonly KindPosition[]): VerifyReply => ({
  v: 'shard.verify.v2',
  migration: 'm1',
  settled: true,
  kinds: [],
  late: [...late],
});

/** A source that shows some kinds until it may let go of them, and a target that answers something else each time. */
class Sides {
  late: readonly KindPosition[] = [PODS, NODES];
  readonly link = new FakeLink((_subject, body) => this.#answer(body as VerifyRequest));
  readonly #answers: ((asked: readonly KindPosition[]) => FakeAnswer)[];
  readonly #end = new AbortController();

  constructor(...answers: ((asked: readonly KindPosition[]) => FakeAnswer)[]) {
    this.#answers = answers;
  }

  /** Ends when the target has nothing to say any more. */
  async prove(): Promise<void> {
    const { signal } = this.#end;
    const sleep = async (): Promise<void> => {
      if (this.#answers.length === 0) this.#end.abort();
    };
    await proveRelease(TASK, { link: this.link, clock: { now: () => 0, monotonic: () => 0, sleep }, signal });
  }

  get questions(): string[] {
    return this.link.asked.map(({ subject, body }) => {
      const { question } = body as VerifyRequest;
      const kinds = question.ask === 'late' ? question.shown : question.ask === 'shown' ? question.kinds : [];
      return `${subject.split('.').slice(-2).join('-')} ${question.ask} ${kinds.map(({ kind, at }) => `${kind}@${at}`).join()}`;
    });
  }

  #answer({ question }: VerifyRequest): FakeAnswer {
    if (question.ask === 'late') {
      this.late = this.late.filter(({ kind }) => !question.shown.some((shown) => shown.kind === kind));
      return says(this.late);
    }
    const answer = this.#answers.shift();
    return answer === undefined || question.ask !== 'shown' ? 'timeout' : answer(question.kinds);
  }
}

it('tells a source what its target shows, kind by kind, until nothing waits', async () => {
  const sides = new Sides(
    () => says([PODS, NODES]),
    () => says([PODS]),
    () => says([]),
  );
  await sides.prove();
  expect(sides.late).toEqual([]);
  expect(sides.questions).toEqual([
    'shard-000-a late ',
    'shard-001-b shown pods@20,nodes@30',
    'shard-000-a late ',
    'shard-001-b shown pods@20,nodes@30',
    'shard-000-a late nodes@30',
    'shard-000-a late ',
    'shard-001-b shown pods@20',
    'shard-000-a late pods@20',
  ]);
});

it.each<[string, FakeAnswer]>([
  ['does not answer', 'timeout'],
  ['is gone', 'no-responders'],
  ['refuses', { ...says([]), late: undefined, error: '4 verifications are running: ask again' }],
  ['says nothing of it', { ...says([]), late: undefined }],
  ['says garbage', { late: 'none' }],
])('a source keeps what it shows of a target that %s', async (_, answer) => {
  const sides = new Sides(
    () => answer,
    () => answer,
  );
  await sides.prove();
  expect(sides.late).toEqual([PODS, NODES]);
});

it('a target of an earlier version cannot be asked: its acknowledgement has to do', async () => {
  const sides = new Sides(() => ({ v: 'shard.verify.v1' }));
  await sides.prove();
  expect(sides.late).toEqual([]);
});
