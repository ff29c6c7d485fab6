import {
  EARLIER_VERIFY,
  isCounted,
  type KindAnswer,
  type KindPosition,
  MAX_KINDS_ASKED,
  MAX_NAMESPACES_ASKED,
  type NamespaceScope,
  type Replica,
  type VerifyQuestion,
  type VerifyReply,
  type VerifyRequest,
  verifyReplySchema,
  verifySubject,
} from '@shard-controller/shared/contracts';
import { slotsToText } from '@shard-controller/shared/hashing';
import type { Clock } from '@shard-controller/shared/runtime';
import { z } from 'zod';
import type { MessageLink } from '../observation/index.ts';
import type { NamespaceShare } from './namespace-share.ts';

/** Longest wait for one answer; a kind may need a moment to pass the asked position. ms. */
const ANSWER_TIMEOUT_MS = 5_000;

/** The worker that answers for a shard. */
export interface Side {
  readonly shardId: string;
  readonly replica: Replica;
}

/** What a verification is about, and until when an answer is of use. */
export interface Questions {
  readonly namespace: string;
  readonly config: string;
  readonly uid: string;
  readonly migration: string;
  readonly slots: readonly number[];
  readonly slotCount: number;
  /** Monotonic time at which the step has timed out, ms. */
  readonly deadline: number;
}

export interface QuestionContext {
  readonly link: MessageLink;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/** What a side exports, by name of the kind. */
export interface SideAnswer {
  readonly settled: boolean;
  readonly kinds: ReadonlyMap<string, KindAnswer>;
}

/** A count of one kind's objects, or why there is none. */
export type Tally =
  | { readonly count: number; readonly digest: bigint; readonly problem?: never }
  | { readonly problem: string; readonly sinceMs: number; readonly known?: boolean | undefined };

/**
 * A side of a migration does not answer the verification.
 * @remedy none: the whole round is asked again. If it repeats, look at the log of that worker.
 */
class UnansweredError extends Error {
  override readonly name = 'UnansweredError';
  readonly code = 'SC_VERIFICATION_UNANSWERED';
}

/** A worker of an earlier version answers the verification: it cannot be asked by kind. @remedy none: it is replaced. */
export class EarlierWorkerError extends Error {
  override readonly name = 'EarlierWorkerError';
  readonly code = 'SC_VERIFICATION_EARLIER';
}

const replySchema = z.union([verifyReplySchema, z.object({ v: z.literal(EARLIER_VERIFY) })]);

/** All kinds of a side, page by page. @throws UnansweredError, EarlierWorkerError */
export async function askKinds(task: Questions, side: Side, context: QuestionContext): Promise<SideAnswer> {
  const kinds = new Map<string, KindAnswer>();
  let settled = true;
  let after: string | undefined;
  do {
    const reply = await ask(task, side, { ask: 'kinds', ...(after === undefined ? {} : { after }) }, context);
    for (const answer of reply.kinds) kinds.set(answer.kind, answer);
    settled &&= reply.settled;
    after = following(reply, after, side);
  } while (after !== undefined);
  return { settled, kinds };
}

/** Which namespaces a scope stands for. @throws UnansweredError, EarlierWorkerError */
export async function askScope(
  task: Questions,
  side: Side,
  scope: string,
  context: QuestionContext,
): Promise<NamespaceScope> {
  if (scope === '') return { except: true, names: [] };
  const names: string[] = [];
  let except = false;
  let after: string | undefined;
  do {
    const reply = await ask(task, side, { ask: 'scope', scope, ...(after === undefined ? {} : { after }) }, context);
    if (reply.namespaces === undefined) throw new UnansweredError(`${side.shardId} does not say which namespaces`);
    names.push(...reply.namespaces.names);
    ({ except } = reply.namespaces);
    after = following(reply, after, side);
  } while (after !== undefined);
  return { except, names };
}

/**
 * Counts of kinds as of given positions, of the namespaces of `share` only.
 * @throws UnansweredError, EarlierWorkerError
 */
export async function askPositions(
  task: Questions,
  side: Side,
  asked: {
    readonly at: ReadonlyMap<string, string>;
    readonly share?: NamespaceShare | undefined;
    readonly proven: boolean;
  },
  context: QuestionContext,
): Promise<Map<string, Tally>> {
  const { at, share, proven } = asked;
  const total = new Map<string, Tally>();
  const kinds = [...at].map(([kind, position]) => ({ kind, at: position }));
  const namespaces = share === undefined ? [undefined] : inParts(share.names, MAX_NAMESPACES_ASKED);
  for (const page of inParts(kinds, MAX_KINDS_ASKED)) {
    const parts = share?.but === true ? [undefined, ...namespaces] : namespaces;
    for (const part of parts) {
      const which = part === undefined ? {} : { namespaces: [...part] };
      const reply = await ask(task, side, { ask: 'positions', kinds: [...page], proven, ...which }, context);
      // Everything, less what the other side does not export.
      const sign = share?.but === true && part !== undefined ? -1 : 1;
      const answers = new Map(reply.kinds.map((answer) => [answer.kind, answer]));
      for (const { kind, at: position } of page) {
        total.set(kind, sum(total.get(kind), tallyOf(answers.get(kind), position), sign));
      }
    }
  }
  return total;
}

/** Those of `kinds` that a target shows up to there. @throws UnansweredError, EarlierWorkerError */
export async function askShown(
  task: Questions,
  side: Side,
  kinds: readonly KindPosition[],
  context: QuestionContext,
): Promise<readonly KindPosition[]> {
  const reply = await ask(task, side, { ask: 'shown', kinds: [...kinds] }, context);
  if (reply.late === undefined) throw new UnansweredError(`${side.shardId} does not say what it shows`);
  const late = new Set(reply.late.map(({ kind }) => kind));
  return kinds.filter(({ kind }) => !late.has(kind));
}

/**
 * Kinds that a source still shows, because the target may not up to some position yet; what is `shown` there it lets go.
 * @throws UnansweredError, EarlierWorkerError
 */
export async function askLate(
  task: Questions,
  side: Side,
  shown: readonly KindPosition[],
  context: QuestionContext,
): Promise<readonly KindPosition[]> {
  const reply = await ask(task, side, { ask: 'late', shown: [...shown] }, context);
  return reply.late ?? [];
}

export function tallyOf(answer: KindAnswer | undefined, at: string): Tally {
  if (answer === undefined) return { problem: 'it is no longer exported', sinceMs: 0 };
  if (!isCounted(answer)) return answer;
  if (answer.at !== at) return { problem: `it was counted at ${answer.at}, not at ${at}`, sinceMs: 0 };
  return { count: answer.count, digest: BigInt(`0x${answer.digest}`) };
}

function sum(a: Tally | undefined, b: Tally, sign: number): Tally {
  if (a === undefined) return b;
  if (a.problem !== undefined) return a;
  if (b.problem !== undefined) return b;
  const digest = sign < 0 ? a.digest - b.digest : a.digest + b.digest;
  return { count: a.count + sign * b.count, digest: BigInt.asUintN(64, digest) };
}

/** A page that makes no progress would be asked for ever. */
function following({ next }: VerifyReply, after: string | undefined, { shardId }: Side): string | undefined {
  if (next !== undefined && after !== undefined && next <= after) {
    throw new UnansweredError(`${shardId} repeats its answer after ${after}`);
  }
  return next;
}

async function ask(
  task: Questions,
  { shardId, replica }: Side,
  question: VerifyQuestion,
  { link, clock, signal }: QuestionContext,
): Promise<VerifyReply> {
  signal.throwIfAborted();
  const request: VerifyRequest = {
    v: 'shard.verify.v2',
    uid: task.uid,
    migration: task.migration,
    slots: slotsToText(task.slots),
    slotCount: task.slotCount,
    question,
  };
  const subject = verifySubject({ namespace: task.namespace, config: task.config, shardId, replica });
  const timeoutMs = Math.max(1, Math.min(ANSWER_TIMEOUT_MS, task.deadline - clock.monotonic()));
  const outcome = await link.request({ subject, body: request, schema: replySchema, timeoutMs });
  if (outcome.kind !== 'reply') throw new UnansweredError(`${shardId}: ${outcome.kind}`);
  if (!outcome.reply.ok) throw new UnansweredError(`${shardId}: ${outcome.reply.problem}`);
  const reply = outcome.reply.value;
  if (reply.v === EARLIER_VERIFY) {
    throw new EarlierWorkerError(`${shardId} runs an earlier version, which does not answer kind by kind`);
  }
  if (reply.error !== undefined) throw new UnansweredError(`${shardId}: ${reply.error}`);
  if (reply.migration !== task.migration) throw new UnansweredError(`${shardId} answered for ${reply.migration}`);
  return reply;
}

function inParts<T>(items: readonly T[], size: number): readonly (readonly T[])[] {
  const parts: (readonly T[])[] = [];
  for (let i = 0; i < items.length; i += size) parts.push(items.slice(i, i + size));
  return parts;
}
