import {
  type Replica,
  type VerifyReply,
  type VerifyRequest,
  verifyReplySchema,
  verifySubject,
} from '@shard-controller/shared/contracts';
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
 * Asks the source for count and digest of the moving slots at positions that it proves, then the target for the same
 * at exactly these positions, and compares. A difference counts when it is seen three times; no answer is asked again
 * until the deadline. Never rejects.
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
  const source = await ask(task, task.source, [], context);
  if (source.kind === 'unanswered') return source;
  if (source.reply.feeds.length === 0) {
    return { kind: 'unanswered', reason: `source ${task.source.shardId} answered for no feed` };
  }
  const at = source.reply.feeds.map(({ feed, at: resourceVersion }) => ({ feed, resourceVersion }));
  const target = await ask(task, task.target, at, context);
  if (target.kind === 'unanswered') return target;
  return compareReplies(source.reply, target.reply);
}

type Answer =
  | { readonly kind: 'answered'; readonly reply: VerifyReply }
  | Extract<VerificationResult, { kind: 'unanswered' }>;

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
  return { kind: 'answered', reply };
}

/** Whether the target holds what the source holds, feed by feed, at the source's positions. */
function compareReplies(source: VerifyReply, target: VerifyReply): VerificationResult {
  const answers = new Map(target.feeds.map((feed) => [feed.feed, feed]));
  let objects = 0;
  for (const expected of source.feeds) {
    const answer = answers.get(expected.feed);
    if (answer === undefined || answer.at !== expected.at) {
      return { kind: 'unanswered', reason: `the target gave no answer for ${expected.feed} at ${expected.at}` };
    }
    if (answer.count !== expected.count || answer.digest !== expected.digest) {
      return {
        kind: 'different',
        reason:
          `${expected.feed} at ${expected.at}: source has ${expected.count} objects (${expected.digest}), ` +
          `target ${answer.count} (${answer.digest})`,
      };
    }
    objects += expected.count;
  }
  return { kind: 'equal', feeds: source.feeds.length, objects };
}
