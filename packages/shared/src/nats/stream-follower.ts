import type { StoredMsg } from '@nats-io/jetstream';
import type { z } from 'zod';
import { errorMessage } from '../runtime/index.ts';
import { NatsUnavailableError } from './errors.ts';
import type { NatsLink } from './link.ts';
import { type StoredRecord, storedRecord } from './stored-record.ts';
import { storedSubject } from './stream-config.ts';
import { readStreamFacts, type StreamFacts } from './stream-facts.ts';
import { readBatch, readNext } from './stream-reader.ts';

/**
 * The stream is no longer the one that was followed: deleted and created again (`recreated`), or its newest message is
 * older than what was read (`behind`: a restored backup), or another message stands where one was read (`rewritten`).
 */
export interface StreamReset {
  readonly reason: 'recreated' | 'behind' | 'rewritten';
  readonly before: { readonly created: string; readonly cursor: number };
  readonly now: StreamFacts;
}

export interface FollowOptions<T> {
  readonly stream: string;
  /** Subject to follow; wildcards are allowed. */
  readonly subject: string;
  /** First sequence of interest. */
  readonly fromSequence: number;
  /** `created` of the stream that `fromSequence` belongs to; found out at the start when it is not given. */
  readonly created?: string;
  readonly schema: z.ZodType<T>;
  readonly signal: AbortSignal;
  /** Called in order, one at a time. A failure is logged, and the record is delivered again. */
  readonly onRecord: (record: StoredRecord<T>) => void | Promise<void>;
  /** Called before the stream is read again from its start; forget what came from the old one. */
  readonly onReset?: (reset: StreamReset) => void | Promise<void>;
  /** Called each time everything that was in the stream has been delivered. */
  readonly onCaughtUp?: (sequence: number) => void;
  /** How often the stream is checked even when nothing seems to happen, ms. Default 2000. */
  readonly probeMs?: number;
}

const RETRY_MS = 200;
/** Waits for a replica that does not have yet what the leader reported, ms. */
const REPLICA_WAITS_MS = [5, 20, 50, 200, 500];

/**
 * Delivers a subject's messages from a sequence on and then live, until the signal ends it. The server holds no
 * consumer for it: the stored-notice of a message, or else the next probe, makes it read on from its own cursor. So a
 * restarted server, a failover or a re-created stream cannot leave it deaf.
 */
export async function followStream<T>(link: NatsLink, options: FollowOptions<T>): Promise<void> {
  await new Follower(link, options).run();
}

class Follower<T> {
  readonly #link: NatsLink;
  readonly #options: FollowOptions<T>;
  /** Highest sequence that is done with. */
  #cursor: number;
  #created: string | undefined;
  /** When the message at the cursor was stored, as the server prints it. */
  #cursorTime: string | undefined;
  #noticed = 0;
  #wake: () => void = () => undefined;
  #lookAtStream = true;

  constructor(link: NatsLink, options: FollowOptions<T>) {
    this.#link = link;
    this.#options = options;
    this.#cursor = Math.max(0, options.fromSequence - 1);
    this.#created = options.created;
  }

  async run(): Promise<void> {
    const notices = this.#link.subscribeRaw(storedSubject(this.#options.subject), (notice) => {
      this.#noticed = Math.max(this.#noticed, Number(notice.headers?.get('Nats-Sequence') ?? 0) || 0);
      this.#wake();
    });
    const offStatus = this.#link.onStatus((status) => {
      this.#lookAtStream = true;
      if (status.connected) this.#wake();
    });
    const end = (): void => this.#wake();
    this.#options.signal.addEventListener('abort', end);
    this.#link.closed.addEventListener('abort', end);
    try {
      while (!this.#ended()) {
        const pause = await this.#round();
        if (pause > 0) await this.#pause(pause);
      }
    } finally {
      this.#options.signal.removeEventListener('abort', end);
      this.#link.closed.removeEventListener('abort', end);
      notices.unsubscribe();
      offStatus();
    }
  }

  #ended(): boolean {
    return this.#options.signal.aborted || this.#link.closed.aborted;
  }

  /** Reads what there is; returns how long to wait for a notice before the next look, ms. */
  async #round(): Promise<number> {
    const probeMs = this.#options.probeMs ?? 2000;
    if (!this.#link.connected) return probeMs;
    try {
      if (this.#lookAtStream) await this.#probe();
      const noticed = this.#noticed;
      await this.#readOn();
      if (noticed > this.#cursor && (await this.#awaitReplica(noticed))) return 0;
      if (this.#noticed > noticed) return 0;
      this.#lookAtStream = true;
      return probeMs;
    } catch (error) {
      if (!this.#ended()) this.#report(error);
      this.#lookAtStream = true;
      return RETRY_MS;
    }
  }

  /** Compares the stream with the one that the cursor belongs to. */
  async #probe(): Promise<void> {
    const now = await readStreamFacts(this.#link, this.#options.stream);
    const reason = await this.#resetReason(now);
    if (reason !== undefined) {
      const before = { created: this.#created ?? '', cursor: this.#cursor };
      this.#link.logger.warn(
        { stream: now.name, reason, before, now },
        'the JetStream stream was replaced by another one',
      );
      await this.#options.onReset?.({ reason, before, now });
      this.#cursor = 0;
      this.#cursorTime = undefined;
      this.#noticed = 0;
    }
    this.#created = now.created;
    this.#lookAtStream = false;
  }

  async #resetReason(now: StreamFacts): Promise<StreamReset['reason'] | undefined> {
    if (this.#created !== undefined && this.#created !== now.created) return 'recreated';
    if (now.lastSequence < this.#cursor) return 'behind';
    if (this.#cursorTime === undefined) return undefined;
    const there = await readNext(this.#link, this.#options.stream, this.#options.subject, this.#cursor);
    return there?.seq === this.#cursor && there.timestamp !== this.#cursorTime ? 'rewritten' : undefined;
  }

  async #readOn(): Promise<void> {
    const { stream, subject, onCaughtUp } = this.#options;
    while (!this.#ended()) {
      const batch = await readBatch(this.#link, stream, subject, this.#cursor + 1);
      if (batch.length === 0) break;
      for (const message of batch) await this.#deliver(message);
    }
    if (!this.#ended()) onCaughtUp?.(this.#cursor);
  }

  async #deliver(message: StoredMsg): Promise<void> {
    if (this.#ended() || message.seq <= this.#cursor) return;
    await this.#options.onRecord(storedRecord(this.#link, this.#options.schema, message));
    this.#cursor = message.seq;
    this.#cursorTime = message.timestamp;
  }

  /** A notice came, but the replica that answered had nothing: asks again shortly. True when it came. */
  async #awaitReplica(noticed: number): Promise<boolean> {
    for (const wait of REPLICA_WAITS_MS) {
      await this.#link.clock.sleep(wait, this.#options.signal);
      await this.#readOn();
      if (noticed <= this.#cursor || this.#ended()) return true;
    }
    // Replaced by a newer message meanwhile, or a forged notice: the probe decides.
    if (this.#noticed === noticed) this.#noticed = this.#cursor;
    return false;
  }

  async #pause(ms: number): Promise<void> {
    const woken = new AbortController();
    this.#wake = () => woken.abort();
    if (!this.#ended()) await this.#link.clock.sleep(ms, woken.signal);
    this.#wake = () => undefined;
  }

  #report(error: unknown): void {
    const problem = errorMessage(error);
    const fields = { stream: this.#options.stream, subject: this.#options.subject, cursor: this.#cursor, problem };
    if (error instanceof NatsUnavailableError) this.#link.logger.debug(fields, 'stream cannot be read now; retrying');
    else this.#link.logger.warn(fields, 'following a stream failed; retrying');
  }
}
