import {
  type Replica,
  type VerifyReply,
  type VerifyRequest,
  verifyReplySchema,
  verifySubject,
} from '@shard-controller/shared/contracts';
import { compareResourceVersion } from '@shard-controller/shared/kubernetes';
import type { HashRange } from '@shard-controller/shared/hashing';
import type { Clock } from '@shard-controller/shared/runtime';
import type { MessageLink } from './message-link.ts';

/** Answers that differ are asked again this often before the difference counts. */
const MISMATCH_ATTEMPTS = 3;
const RETRY_MS = 250;
/** Longest wait for one answer; a feed may need a moment to pass the asked position. */
const ANSWER_TIMEOUT_MS = 5_000;

/** The worker that answers for a shard. */
interface Side {
  readonly shardId: string;
  readonly replica: Replica;
}

/** The two sides of a migration, and until when an answer is of use. */
export interface VerificationTask {
  readonly namespace: string;
  readonly config: string;
  readonly uid: string;
  readonly migration: string;
  readonly source: Side;
  readonly target: Side;
  readonly ranges: readonly HashRange[];
  /** Monotonic time at which the step has timed out, ms. */
  readonly deadline: number;
}

export type VerificationResult =
  | { readonly kind: 'equal'; readonly feeds: number; readonly objects: number }
  | { readonly kind: 'different'; readonly reason: string }
  | { readonly kind: 'unanswered'; readonly reason: string };

/** Everything that a verification needs from outside. */
export interface VerificationContext {
  readonly link: MessageLink;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/**
 * Asks both sides at once for count and digest of the moving slots at positions that they prove, and where these differ
 * the side that is ahead again as of the other's; then compares. A difference counts when it is seen three times; no
 * answer is asked again until the deadline. Never rejects.
 */
export async function verifyMigration(
  task: VerificationTask,
  context: VerificationContext,
): Promise<VerificationResult> {
  let result: VerificationResult = { kind: 'unanswered', reason: 'the deadline had passed before the first question' };
  let mismatches = 0;
  while (!context.signal.aborted && context.clock.monotonic() < task.deadline) {
    result = await askBoth(task, context);
    if (result.kind === 'equal') return result;
    if (result.kind === 'different' && ++mismatches >= MISMATCH_ATTEMPTS) return result;
    await context.clock.sleep(RETRY_MS, context.signal);
  }
  return result;
}

async function askBoth(task: VerificationTask, context: VerificationContext): Promise<VerificationResult> {
  const first = await askSides(task, [], [], context);
  if ('kind' in first) return first;
  const behind = commonPositions(first);
  if ('kind' in behind) return behind;
  const again = await askSides(task, behind.source, behind.target, context);
  if ('kind' in again) return again;
  return compare(merged(first.source, again.source), merged(first.target, again.target));
}

type FeedAnswer = VerifyReply['feeds'][number];
type Positions = VerifyRequest['at'];
type Answers = ReadonlyMap<string, FeedAnswer>;

/** What both sides say; a side that has nothing more to be asked says nothing. */
interface Sides {
  readonly source: Answers;
  readonly target: Answers;
}

async function askSides(
  task: VerificationTask,
  sourceAt: Positions | undefined,
  targetAt: Positions | undefined,
  context: VerificationContext,
): Promise<Sides | Unanswered> {
  const nothing: Answer = { kind: 'answered', answers: new Map() };
  const [source, target] = await Promise.all([
    sourceAt === undefined ? nothing : ask(task, task.source, sourceAt, context),
    targetAt === undefined ? nothing : ask(task, task.target, targetAt, context),
  ]);
  if (source.kind === 'unanswered') return source;
  if (target.kind === 'unanswered') return target;
  return { source: source.answers, target: target.answers };
}

/** Which feeds each side has to be asked again, and as of where, so that both speak of one position. */
function commonPositions({ source, target }: Sides): { source?: Positions; target?: Positions } | Unanswered {
  if (source.size === 0) return { kind: 'unanswered', reason: 'the source answered for no feed' };
  const sourceAt: { feed: string; resourceVersion: string }[] = [];
  const targetAt: { feed: string; resourceVersion: string }[] = [];
  for (const [feed, { at: ofSource }] of source) {
    const ofTarget = target.get(feed)?.at;
    if (ofTarget === undefined) return { kind: 'unanswered', reason: `the target gave no answer for ${feed}` };
    if (ofSource === ofTarget) continue;
    const resourceVersion = olderProven(ofSource, ofTarget);
    if (ofSource !== resourceVersion) sourceAt.push({ feed, resourceVersion });
    if (ofTarget !== resourceVersion) targetAt.push({ feed, resourceVersion });
  }
  return {
    ...(sourceAt.length === 0 ? {} : { source: sourceAt }),
    ...(targetAt.length === 0 ? {} : { target: targetAt }),
  };
}

/** An empty position is one that nobody proved. */
function olderProven(a: string, b: string): string {
  if (a === '' || b === '') return a === '' ? b : a;
  return compareResourceVersion(a, b) <= 0 ? a : b;
}

function merged(first: Answers, again: Answers): Answers {
  return new Map([...first, ...again]);
}

type Unanswered = Extract<VerificationResult, { kind: 'unanswered' }>;
type Answer = { readonly kind: 'answered'; readonly answers: Answers } | Unanswered;

async function ask(
  task: VerificationTask,
  { shardId, replica }: Side,
  at: VerifyRequest['at'],
  { link, clock }: VerificationContext,
): Promise<Answer> {
  const request: VerifyRequest = {
    v: 'shard.verify.v1',
    uid: task.uid,
    migration: task.migration,
    ranges: task.ranges.map(({ start, end }) => ({ start, end })),
    at,
  };
  const subject = verifySubject({ namespace: task.namespace, config: task.config, shardId, replica });
  const patience = Math.max(1, Math.min(ANSWER_TIMEOUT_MS, task.deadline - clock.monotonic()));
  const outcome = await link.request({ subject, body: request, schema: verifyReplySchema, timeoutMs: patience });
  if (outcome.kind !== 'reply') return { kind: 'unanswered', reason: `${shardId}: ${outcome.kind}` };
  if (!outcome.reply.ok) return { kind: 'unanswered', reason: `${shardId}: ${outcome.reply.problem}` };
  const reply = outcome.reply.value;
  if (reply.migration !== task.migration)
    return { kind: 'unanswered', reason: `${shardId} answered for ${reply.migration}` };
  if (reply.error !== undefined) return { kind: 'unanswered', reason: `${shardId}: ${reply.error}` };
  return { kind: 'answered', answers: new Map(reply.feeds.map((answer) => [answer.feed, answer])) };
}

/** Whether the target holds what the source holds, feed by feed, at common positions. */
function compare(source: Answers, target: Answers): VerificationResult {
  let objects = 0;
  for (const [feed, expected] of source) {
    const answer = target.get(feed);
    if (answer === undefined || answer.at !== expected.at) {
      return { kind: 'unanswered', reason: `the two sides speak of different positions of ${feed}` };
    }
    if (answer.count !== expected.count || answer.digest !== expected.digest) {
      return {
        kind: 'different',
        reason:
          `${feed} at ${expected.at}: source has ${expected.count} objects (${expected.digest}), ` +
          `target ${answer.count} (${answer.digest})`,
      };
    }
    objects += expected.count;
  }
  return { kind: 'equal', feeds: source.size, objects };
}
