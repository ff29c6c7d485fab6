import type { StoredMsg } from '@nats-io/jetstream';
import { errors } from '@nats-io/transport-node';
import { errorMessage } from '../runtime/index.ts';
import { NatsUnavailableError, StreamMissingError } from './errors.ts';
import { isNoStream, isWrongLastSequence, unavailable } from './jetstream-error.ts';
import type { NatsLink } from './link.ts';
import { readLast, readNext } from './stream-reader.ts';

/**
 * Outcome of a conditional write.
 * - conflict: another writer's message stands where this one should; nothing of ours is stored. Read on from there.
 * - neither ok nor conflict: NATS gave no answer in time. `stored: 'no'` is certain; with `'unknown'` the message may be
 *   stored now or even later, so fold the log again before deciding anything.
 */
export type AppendResult =
  | { readonly ok: true; readonly sequence: number }
  | { readonly ok: false; readonly conflict: true; readonly lastSequence: number }
  | { readonly ok: false; readonly conflict: false; readonly stored: 'no' | 'unknown'; readonly problem: string };

export interface ConditionalWrite {
  readonly stream: string;
  readonly subject: string;
  /** Unique per message for ever: by it a write whose answer was lost is recognised. */
  readonly id: string;
  readonly data: Uint8Array;
  /** Sequence of the newest message on the subject that the writer knows, 0 for none; without it, unconditional. */
  readonly expected?: number;
  /** How long to continue for a certain answer, ms. */
  readonly patienceMs: number;
}

const RETRY_MS = 100;

/**
 * Stores one message if the subject's newest message is still the expected one. A lost answer (time-out, broken
 * connection) is ambiguous, and so is a refusal after one, because servers check the condition before the message id:
 * the message that follows the expected one is read back then, and its id decides.
 */
export async function conditionalWrite(link: NatsLink, write: ConditionalWrite): Promise<AppendResult> {
  const giveUpAt = link.clock.monotonic() + write.patienceMs;
  let sent = false;
  let problem = 'no connection to NATS';
  for (;;) {
    const step = await attempt(link, write);
    if ('result' in step) return step.result;
    sent ||= step.sent;
    problem = step.problem;
    const left = giveUpAt - link.clock.monotonic();
    if (!sent || left <= 0 || link.closed.aborted) {
      return { ok: false, conflict: false, stored: sent ? 'unknown' : 'no', problem };
    }
    await link.clock.sleep(RETRY_MS, link.closed);
    await link.waitConnected(left);
  }
}

type Step = { readonly result: AppendResult } | { readonly sent: boolean; readonly problem: string };

async function attempt(link: NatsLink, write: ConditionalWrite): Promise<Step> {
  let sent = false;
  try {
    const { js } = link.session();
    sent = true;
    const ack = await js.publish(write.subject, write.data, {
      msgID: write.id,
      timeout: link.requestTimeoutMs,
      expect: {
        streamName: write.stream,
        ...(write.expected === undefined ? {} : { lastSubjectSequence: write.expected }),
      },
    });
    return { result: { ok: true, sequence: ack.seq } };
  } catch (error) {
    if (isNoStream(error)) throw new StreamMissingError(write.stream, { cause: error });
    if (write.expected !== undefined && isWrongLastSequence(error)) return readBack(link, write, write.expected);
    if (!sent || isUnanswered(error)) return { sent, problem: describe(error) };
    throw unavailable(error, `message ${write.id} for ${write.subject} was refused`);
  }
}

/** Finds the message that took the place after `expected`: it is ours, or another writer's. */
async function readBack(link: NatsLink, write: ConditionalWrite, expected: number): Promise<Step> {
  try {
    const last = await readLast(link, write.stream, write.subject);
    if (last === undefined || last.seq <= expected) return conflict(last?.seq ?? 0);
    const successor = await readNext(link, write.stream, write.subject, expected + 1);
    if (successor === undefined) return { sent: true, problem: 'the replica that answered is behind the leader' };
    if (messageId(successor) === write.id) return { result: { ok: true, sequence: successor.seq } };
    return conflict(last.seq);
  } catch (error) {
    if (error instanceof NatsUnavailableError) return { sent: true, problem: error.message };
    throw error;
  }
}

const conflict = (lastSequence: number): Step => ({ result: { ok: false, conflict: true, lastSequence } });

const messageId = (message: StoredMsg): string => message.header.get('Nats-Msg-Id');

/** True when no answer came: the message may have been stored. */
function isUnanswered(error: unknown): boolean {
  return (
    error instanceof errors.TimeoutError ||
    error instanceof errors.RequestError ||
    error instanceof errors.ConnectionError ||
    error instanceof errors.ClosedConnectionError ||
    error instanceof errors.DrainingConnectionError
  );
}

function describe(error: unknown): string {
  if (error instanceof errors.TimeoutError) return 'NATS did not acknowledge in time';
  return errorMessage(error);
}
