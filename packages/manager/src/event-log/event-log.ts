import { randomUUID } from 'node:crypto';
import {
  type AppendResult,
  type EventStream,
  fitsMessage,
  type NatsLogger,
  type StoredRecord,
  type StreamReset,
} from '@shard-controller/shared/nats';
import type { z } from 'zod';
import {
  DECISION_PART,
  decisionPartSchema,
  inParts,
  type OpenDecision,
  wholeText,
  withPart,
} from './decision-parts.ts';
import {
  type Decision,
  DECISION_V1,
  type DecisionEnvelope,
  decisionSchema,
  type NewDecision,
  shortText,
  type StoredDecision,
} from './decision.ts';
import { UnknownEventError } from './errors.ts';
import { EventCodec, type Upcasters } from './event-codec.ts';
import type { FoundLog } from './log-comparison.ts';

export interface EventLogOptions<E, S> {
  readonly stream: EventStream<DecisionEnvelope>;
  /** `eventSubject(namespace, config, uid)`. */
  readonly subject: string;
  /** Union of the present event types, discriminated by `type`. */
  readonly schema: z.ZodType<E>;
  readonly upcasters?: Upcasters;
  readonly initial: S;
  /** Plain and total. All events of one decision have the same `sequence`. */
  readonly evolve: (state: S, event: E, sequence: number) => S;
  readonly logger: NatsLogger;
}

/** State after a decision, and where in the log that is. */
export interface LogHead<S> extends FoundLog {
  readonly state: S;
  /** Newest message of the subject, invalid messages included: the expected sequence of the next append. */
  readonly sequence: number;
  /** Latest time of a decision, ms since the epoch on the clock of the manager that made it; 0 for none. */
  readonly at: number;
  /** Decisions folded so far. */
  readonly decisions: number;
  /** Id of the newest decision; empty for none. */
  readonly lastId: string;
  /** Messages that were no decisions and have been skipped. */
  readonly skipped: number;
  /** A decision that is stored in parts, until the last one of them. */
  readonly open?: OpenDecision | undefined;
}

/**
 * - appended: stored; `head` is the state after it.
 * - conflict: another client wrote. Another manager leads, or an invalid message was written: stop deciding, load again.
 * - unavailable: NATS gave no answer. With `stored: 'unknown'` load again before the next decision.
 */
export type LogAppendResult<S> =
  | { readonly kind: 'appended'; readonly head: LogHead<S> }
  | { readonly kind: 'conflict'; readonly lastSequence: number }
  | { readonly kind: 'unavailable'; readonly stored: 'no' | 'unknown'; readonly problem: string };

export interface LogFollowOptions<E, S> {
  readonly signal: AbortSignal;
  /** After each decision, and after an invalid message (then without a decision). */
  readonly onHead: (head: LogHead<S>, decision: Decision<E> | undefined) => void | Promise<void>;
  /** The stream was re-created, or went back: the state starts again from `initial`. */
  readonly onReset?: (reset: StreamReset) => void | Promise<void>;
  /** A decision that cannot be read; following has ended, because nothing after it can be folded. */
  readonly onUnreadable: (error: Error) => void;
  readonly probeMs?: number;
}

/** What a message is: the end of a decision, a part of one that is open, or neither. */
interface Reading<E> {
  readonly decision?: Decision<E>;
  readonly open?: OpenDecision;
}

/** The log of one ShardConfig: decisions in, state out. It keeps no state itself; heads are passed in and out. */
export class EventLog<E, S> {
  readonly #options: EventLogOptions<E, S>;
  readonly #codec: EventCodec<E>;

  constructor(options: EventLogOptions<E, S>) {
    this.#options = options;
    this.#codec = new EventCodec(options.schema, options.upcasters);
  }

  /**
   * Folds the whole log. An invalid message is skipped, counted and logged.
   * @throws NatsUnavailableError, StreamMissingError; UnknownEventError, InvalidEventError for a log this version
   *   cannot read
   */
  async load(signal?: AbortSignal): Promise<LogHead<S>> {
    const { created } = await this.#options.stream.facts();
    let head = this.#empty(created);
    for await (const record of this.#replay(1, signal)) head = this.#fold(head, record).head;
    // A stream that was replaced while it was read gives a mixed state.
    const after = await this.#options.stream.facts();
    return after.created === created ? head : this.load(signal);
  }

  /**
   * Folds on from a head that was folded before; the whole log where it is not the one that the head was folded from. So
   * each message that any client writes to the log, valid or not, costs one read. @throws as `load`
   */
  async resume(from: LogHead<S>, signal?: AbortSignal): Promise<LogHead<S>> {
    const { created } = await this.#options.stream.facts();
    if (created !== from.created) return this.load(signal);
    let head = from;
    let isKnown = from.lastSequence === 0;
    for await (const record of this.#replay(Math.max(1, from.lastSequence), signal)) {
      if (!isKnown) {
        if (record.sequence !== from.lastSequence || decisionOf(record) !== from.lastId) return this.load(signal);
        isKnown = true;
      }
      if (record.sequence > from.sequence) head = this.#fold(head, record).head;
    }
    const after = await this.#options.stream.facts();
    return isKnown && after.created === created ? head : this.load(signal);
  }

  /** The decisions from a sequence on, for explanations. @throws as `load` */
  async *decisions(fromSequence = 1, signal?: AbortSignal): AsyncGenerator<Decision<E>, void, void> {
    let open: OpenDecision | undefined;
    for await (const record of this.#replay(fromSequence, signal)) {
      const read = this.#read(record, open);
      open = read.open;
      if (read.decision !== undefined) yield read.decision;
    }
  }

  /**
   * Stores one decision after `head`: in one message, or where it does not fit in several, of which the last one makes it
   * count.
   * @throws InvalidEventError (SC_EVENT_INVALID): a bug, nothing is stored
   * @throws StreamMissingError
   */
  async append(head: LogHead<S>, decision: NewDecision<E>): Promise<LogAppendResult<S>> {
    const { subject } = this.#options;
    const stored: StoredDecision = {
      v: DECISION_V1,
      id: randomUUID(),
      at: decision.at,
      manager: { identity: decision.manager.identity, term: decision.manager.term },
      generation: decision.generation,
      stream: head.created,
      command: shortText(decision.command),
      reason: shortText(decision.reason),
      events: decision.events.map((event) => this.#codec.encode(event, { subject })),
    };
    const result = await this.#store(decisionSchema.parse(stored), head.sequence);
    if (result.ok) {
      return { kind: 'appended', head: this.#advance(head, this.#decode(stored, result.sequence)) };
    }
    if (result.conflict) return { kind: 'conflict', lastSequence: result.lastSequence };
    return { kind: 'unavailable', stored: result.stored, problem: result.problem };
  }

  async #store(stored: StoredDecision, expected: number): Promise<AppendResult> {
    const { subject, stream } = this.#options;
    if (fitsMessage(stored)) return stream.append(subject, stored, expected);
    let result: AppendResult = { ok: true, sequence: expected };
    for (const part of inParts(stored)) {
      result = await stream.append(subject, part, result.sequence);
      if (result.ok) continue;
      // With its first part the log is not what it was, whatever became of the others.
      return part.part === 1 || result.conflict ? result : { ...result, stored: 'unknown' };
    }
    return result;
  }

  /** Folds on from a head as the log grows, for a warm standby; resolves when the signal ends it. */
  async follow(from: LogHead<S>, options: LogFollowOptions<E, S>): Promise<void> {
    let head = from;
    const unreadable = new AbortController();
    await this.#options.stream.follow(this.#options.subject, {
      fromSequence: from.sequence + 1,
      created: from.created,
      signal: AbortSignal.any([options.signal, unreadable.signal]),
      ...(options.probeMs === undefined ? {} : { probeMs: options.probeMs }),
      onReset: async (reset) => {
        head = this.#empty(reset.now.created);
        await options.onReset?.(reset);
      },
      onRecord: async (record) => {
        let folded: { readonly head: LogHead<S>; readonly decision: Decision<E> | undefined };
        try {
          folded = this.#fold(head, record);
        } catch (error) {
          if (!(error instanceof Error)) throw error;
          unreadable.abort();
          options.onUnreadable(error);
          return;
        }
        // Only then: a callback that failed gets the same record again.
        await options.onHead(folded.head, folded.decision);
        head = folded.head;
      },
    });
  }

  #replay(fromSequence: number, signal: AbortSignal | undefined): AsyncGenerator<StoredRecord<DecisionEnvelope>> {
    const { stream, subject } = this.#options;
    return stream.replay(subject, { fromSequence, ...(signal === undefined ? {} : { signal }) });
  }

  #empty(created: string): LogHead<S> {
    return {
      state: this.#options.initial,
      sequence: 0,
      lastSequence: 0,
      generation: 0,
      at: 0,
      decisions: 0,
      lastId: '',
      skipped: 0,
      created,
      writtenUnder: undefined,
    };
  }

  #fold(
    head: LogHead<S>,
    record: StoredRecord<DecisionEnvelope>,
  ): { readonly head: LogHead<S>; readonly decision: Decision<E> | undefined } {
    const { decision, open } = this.#read(record, head.open);
    if (decision !== undefined) return { head: this.#advance(head, decision), decision };
    const skipped = head.skipped + (open === undefined ? 1 : 0);
    return { head: { ...head, sequence: record.sequence, skipped, open }, decision };
  }

  #advance(head: LogHead<S>, decision: Decision<E>): LogHead<S> {
    const { evolve } = this.#options;
    return {
      ...head,
      state: decision.events.reduce((state, event) => evolve(state, event, decision.sequence), head.state),
      sequence: decision.sequence,
      lastSequence: decision.sequence,
      generation: decision.generation,
      at: Math.max(head.at, decision.at),
      decisions: head.decisions + 1,
      lastId: decision.id,
      writtenUnder: decision.stream,
      open: undefined,
    };
  }

  /** The decision that a message completes; neither that nor an open one for an invalid message, which is logged. @throws UnknownEventError, InvalidEventError */
  #read(record: StoredRecord<DecisionEnvelope>, open: OpenDecision | undefined): Reading<E> {
    if (!record.body.ok) return this.#skip(record, record.body.problem);
    const message = record.body.value;
    if (message.v === DECISION_PART) {
      const part = decisionPartSchema.safeParse(message);
      if (!part.success) return this.#skip(record, part.error.issues[0]?.message ?? 'not a part of a decision');
      const next = withPart(open, part.data);
      if (next === undefined) return this.#skip(record, 'the earlier parts of this decision are missing');
      const text = wholeText(next);
      return text === undefined ? { open: next } : this.#parse(record, parsedJson(text));
    }
    if (message.v !== DECISION_V1) throw new UnknownEventError(message.v, record.subject, record.sequence);
    return this.#parse(record, message);
  }

  #parse(record: StoredRecord<DecisionEnvelope>, message: unknown): Reading<E> {
    const stored = decisionSchema.safeParse(message);
    if (!stored.success) return this.#skip(record, stored.error.issues[0]?.message ?? 'not a decision');
    return { decision: this.#decode(stored.data, record.sequence) };
  }

  #skip(record: StoredRecord<DecisionEnvelope>, problem: string): Reading<E> {
    const { subject, sequence } = record;
    this.#options.logger.warn(
      { code: LOG_MESSAGE_INVALID, subject, sequence, problem },
      'message in the event log is not a decision: skipped',
    );
    return {};
  }

  #decode(stored: StoredDecision, sequence: number): Decision<E> {
    const place = { subject: this.#options.subject, sequence };
    const { id, at, manager, generation, stream, command, reason } = stored;
    const events = stored.events.map((event) => this.#codec.decode(event, place));
    return { id, at, manager, generation, stream, command, reason, events, sequence };
  }
}

/** A message in the event log is not a decision; it is skipped. @remedy find out who else writes to NATS. */
const LOG_MESSAGE_INVALID = 'SC_LOG_MESSAGE_INVALID';

function parsedJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Id of the decision that a message holds, or a part of which it holds. */
function decisionOf({ body }: StoredRecord<DecisionEnvelope>): string | undefined {
  if (!body.ok) return undefined;
  const part = decisionPartSchema.safeParse(body.value);
  return part.success ? part.data.decision : body.value.id;
}
