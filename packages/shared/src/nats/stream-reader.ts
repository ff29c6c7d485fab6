import { JetStreamError, type StoredMsg } from '@nats-io/jetstream';
import { NatsUnavailableError, StreamMissingError } from './errors.ts';
import { unavailable } from './jetstream-error.ts';
import type { NatsLink } from './link.ts';

/** Messages of one read; bounds what a reader holds at a time. */
const BATCH_MESSAGES = 256;

/**
 * Newest message of one subject, asked of the stream's leader, so that an own write is seen.
 * @throws StreamMissingError, NatsUnavailableError
 */
export async function readLast(link: NatsLink, stream: string, subject: string): Promise<StoredMsg | undefined> {
  try {
    return (await link.session().jsm.streams.getMessage(stream, { last_by_subj: subject })) ?? undefined;
  } catch (error) {
    throw unavailable(error, `last message of ${subject} in stream ${stream} could not be read`);
  }
}

/**
 * First message on `subject` (wildcards allowed) at or after a sequence. A replica may answer and lag behind.
 * @throws StreamMissingError, NatsUnavailableError
 */
export async function readNext(
  link: NatsLink,
  stream: string,
  subject: string,
  sequence: number,
): Promise<StoredMsg | undefined> {
  try {
    return (await link.session().jsm.direct.getMessage(stream, { seq: sequence, next_by_subj: subject })) ?? undefined;
  } catch (error) {
    throw unavailable(error, `stream ${stream} could not be read at ${sequence}`);
  }
}

/**
 * Some messages on `subject` (wildcards allowed) from a sequence on, in order; empty at the end of what is there.
 * Stateless at the server, so no restart and no failover can leave it deaf.
 * @throws StreamMissingError, NatsUnavailableError
 */
export async function readBatch(
  link: NatsLink,
  stream: string,
  subject: string,
  sequence: number,
): Promise<readonly StoredMsg[]> {
  const what = `stream ${stream} could not be read from ${sequence}`;
  const { jsm } = link.session();
  const messages: StoredMsg[] = [];
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  let timer = setTimeout(reject, link.requestTimeoutMs, new NatsUnavailableError('no answer'));
  let batch: { stop(): void } | undefined;
  try {
    batch = await jsm.direct.getBatch(stream, {
      seq: Math.max(1, sequence),
      next_by_subj: subject,
      batch: BATCH_MESSAGES,
      callback: (done, message) => {
        clearTimeout(timer);
        if (done !== null) {
          if (done.err === undefined || isEnd(done.err)) resolve();
          else reject(done.err);
          return;
        }
        messages.push(message);
        timer = setTimeout(reject, link.requestTimeoutMs, new NatsUnavailableError('the response broke off'));
      },
    });
    await promise;
    return messages;
  } catch (error) {
    if (error instanceof JetStreamError && error.message.includes('no responders')) {
      throw new StreamMissingError(stream, { cause: error });
    }
    throw unavailable(error, what);
  } finally {
    clearTimeout(timer);
    batch?.stop();
  }
}

const isEnd = (error: Error): boolean => error.message === 'no results' || error.message === 'message not found';
