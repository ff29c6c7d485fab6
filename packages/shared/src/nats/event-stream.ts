import type { z } from 'zod';
import { type AppendResult, conditionalWrite } from './append.ts';
import { NatsUnavailableError } from './errors.ts';
import type { NatsLink } from './link.ts';
import { encodeMessage } from './message.ts';
import { type StoredRecord, storedRecord } from './stored-record.ts';
import { readStreamFacts, type StreamFacts } from './stream-facts.ts';
import { type FollowOptions, followStream } from './stream-follower.ts';
import { readBatch, readLast } from './stream-reader.ts';

export interface EventStreamOptions<T> {
  readonly link: NatsLink;
  readonly stream: string;
  /** Shape of one message. */
  readonly schema: z.ZodType<T>;
  /** How long `append` continues after a lost answer, ms. Default 10000. */
  readonly patienceMs?: number;
}

export interface ReplayOptions {
  /** First sequence of interest. Default 1. */
  readonly fromSequence?: number;
  readonly signal?: AbortSignal;
}

export type StreamFollowOptions<T> = Omit<FollowOptions<T>, 'stream' | 'subject' | 'schema'>;

/** An append-only stream with one log per subject. One message holds everything that one decision says: it is atomic. */
export class EventStream<T extends { readonly id: string }> {
  readonly #link: NatsLink;
  readonly #stream: string;
  readonly #schema: z.ZodType<T>;
  readonly #patienceMs: number;

  constructor(options: EventStreamOptions<T>) {
    this.#link = options.link;
    this.#stream = options.stream;
    this.#schema = options.schema;
    this.#patienceMs = options.patienceMs ?? 10_000;
  }

  /**
   * Appends one message, if the subject's newest one still has the expected sequence (0: none yet). Its `id` has to be
   * new; it is what tells an own message from another writer's after a lost answer.
   * @throws MessageTooLargeError (SC_MESSAGE_TOO_LARGE), StreamMissingError (SC_STREAM_MISSING)
   */
  async append(subject: string, message: T, expectedLastSubjectSequence: number): Promise<AppendResult> {
    return conditionalWrite(this.#link, {
      stream: this.#stream,
      subject,
      id: message.id,
      data: encodeMessage(subject, message),
      expected: expectedLastSubjectSequence,
      patienceMs: this.#patienceMs,
    });
  }

  /**
   * The subject's messages up to its newest one at the time of the call, in order. Messages that are no valid `T` come
   * as problems.
   * @throws NatsUnavailableError when reading breaks off (continue after the last sequence you got), StreamMissingError
   */
  async *replay(subject: string, options: ReplayOptions = {}): AsyncGenerator<StoredRecord<T>, void, void> {
    const head = await this.lastSequence(subject);
    let next = Math.max(1, options.fromSequence ?? 1);
    let giveUpAt = this.#link.clock.monotonic() + this.#link.requestTimeoutMs;
    while (next <= head) {
      const batch = await readBatch(this.#link, this.#stream, subject, next);
      options.signal?.throwIfAborted();
      for (const message of batch) {
        if (message.seq > head) return;
        yield storedRecord(this.#link, this.#schema, message);
        next = message.seq + 1;
        giveUpAt = this.#link.clock.monotonic() + this.#link.requestTimeoutMs;
      }
      if (batch.length === 0) {
        // Only a replica that lags behind the leader, or a stream that was just replaced, has less than the head.
        if (this.#link.clock.monotonic() > giveUpAt) {
          throw new NatsUnavailableError(`stream ${this.#stream} ends before message ${head} of ${subject}`);
        }
        await this.#link.clock.sleep(50, options.signal);
      }
    }
  }

  /** Sequence of the subject's newest message, 0 for none. @throws NatsUnavailableError, StreamMissingError */
  async lastSequence(subject: string): Promise<number> {
    return (await readLast(this.#link, this.#stream, subject))?.seq ?? 0;
  }

  /** @throws NatsUnavailableError, StreamMissingError */
  async facts(): Promise<StreamFacts> {
    return readStreamFacts(this.#link, this.#stream);
  }

  /** Delivers from a sequence on and then live, through restarts; resolves when the signal ends it. */
  async follow(subject: string, options: StreamFollowOptions<T>): Promise<void> {
    await followStream(this.#link, { ...options, stream: this.#stream, subject, schema: this.#schema });
  }
}
