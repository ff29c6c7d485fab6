import { randomUUID } from 'node:crypto';
import type { z } from 'zod';
import { type AppendResult, conditionalWrite } from './append.ts';
import { unavailable } from './jetstream-error.ts';
import type { NatsLink } from './link.ts';
import { encodeMessage } from './message.ts';
import { type StoredRecord, storedRecord } from './stored-record.ts';
import { readStreamFacts, type StreamFacts } from './stream-facts.ts';
import { type FollowOptions, followStream } from './stream-follower.ts';
import { readLast } from './stream-reader.ts';

export interface LastValueStreamOptions<T> {
  readonly link: NatsLink;
  readonly stream: string;
  /** Reads what `encode` writes. */
  readonly schema: z.ZodType<T>;
  /** The form in which a value is sent; as it is by default. */
  readonly encode?: (value: T) => unknown;
  /** How long `publish` continues after a lost answer, ms. Default 5000. */
  readonly patienceMs?: number;
}

export type WatchOptions<T> = Omit<FollowOptions<T>, 'stream' | 'subject' | 'schema' | 'fromSequence' | 'created'>;

/** A stream that keeps the newest message of each subject. */
export class LastValueStream<T> {
  readonly #link: NatsLink;
  readonly #stream: string;
  readonly #schema: z.ZodType<T>;
  readonly #encode: (value: T) => unknown;
  readonly #patienceMs: number;

  constructor(options: LastValueStreamOptions<T>) {
    this.#link = options.link;
    this.#stream = options.stream;
    this.#schema = options.schema;
    this.#encode = options.encode ?? ((value) => value);
    this.#patienceMs = options.patienceMs ?? 5000;
  }

  /**
   * Replaces the subject's value; with `expectedLast` only if that is still the sequence of the present one (0: none).
   * @throws MessageTooLargeError, StreamMissingError
   */
  async publish(subject: string, value: T, expectedLast?: number): Promise<AppendResult> {
    return conditionalWrite(this.#link, {
      stream: this.#stream,
      subject,
      id: randomUUID(),
      data: encodeMessage(subject, this.#encode(value)),
      ...(expectedLast === undefined ? {} : { expected: expectedLast }),
      patienceMs: this.#patienceMs,
    });
  }

  /** The subject's value, undefined for none. @throws NatsUnavailableError, StreamMissingError */
  async get(subject: string): Promise<StoredRecord<T> | undefined> {
    const message = await readLast(this.#link, this.#stream, subject);
    return message === undefined ? undefined : storedRecord(this.#link, this.#schema, message);
  }

  /**
   * Deletes the values of a subject (wildcards allowed), none that is newer than `upTo`, a sequence; returns how many.
   * @throws NatsUnavailableError
   */
  async remove(subject: string, upTo?: number): Promise<number> {
    const options = { filter: subject, ...(upTo === undefined ? {} : { seq: upTo + 1 }) };
    try {
      return (await this.#link.session().jsm.streams.purge(this.#stream, options)).purged;
    } catch (error) {
      throw unavailable(error, `values of ${subject} in stream ${this.#stream} could not be deleted`);
    }
  }

  /** @throws NatsUnavailableError, StreamMissingError */
  async facts(): Promise<StreamFacts> {
    return readStreamFacts(this.#link, this.#stream);
  }

  /**
   * Delivers the present values of a subject (wildcards allowed), then every change, through restarts; resolves when
   * the signal ends it. A value that is replaced before it was read is skipped.
   */
  async watch(subject: string, options: WatchOptions<T>): Promise<void> {
    await followStream(this.#link, {
      ...options,
      stream: this.#stream,
      subject,
      schema: this.#schema,
      fromSequence: 1,
    });
  }
}
