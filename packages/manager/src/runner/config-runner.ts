import { API_VERSION, SHARD_CONFIG_KIND } from '@shard-controller/shared/api';
import { eventSubject } from '@shard-controller/shared/contracts';
import { NatsUnavailableError } from '@shard-controller/shared/nats';
import type { Logger } from '@shard-controller/shared/observability';
import { errorMessage, Wakeup } from '@shard-controller/shared/runtime';
import { evolve, initialState, type ShardConfigState, shardEventSchema } from '../aggregate/index.ts';
import type { ManagerHold } from '../effects/index.ts';
import { EventLog } from '../event-log/index.ts';
import type { Term } from '../leadership/index.ts';
import type { ConfigIdentity } from '../naming/index.ts';
import type { RunnerContext } from './context.ts';
import type { ConfigHead, ConfigLog } from './decision-log.ts';
import { LeadingTerm } from './leading-term.ts';

/** Wait before a log that could not be read is tried again while standing by, ms. */
const STANDBY_RETRY_MS = 1_000;

/**
 * One ShardConfig, for as long as it exists: follows its log while another manager leads, and decides while this one
 * does. Commands of one ShardConfig are thereby never decided at the same time.
 */
export class ConfigRunner {
  readonly config: ConfigIdentity;
  readonly #context: RunnerContext;
  readonly #logger: Logger;
  readonly #log: ConfigLog;
  readonly #wakeup: Wakeup;
  readonly #removed = new AbortController();
  /** Newest known head: followed on standby, and where a new term starts if it is still the newest. */
  #head: ConfigHead | undefined;
  #leading: LeadingTerm | undefined;

  constructor(context: RunnerContext, config: ConfigIdentity) {
    this.config = config;
    this.#context = context;
    this.#logger = context.logger.child({ shardConfig: `${config.namespace}/${config.name}` });
    this.#wakeup = new Wakeup(context.clock);
    this.#log = new EventLog({
      stream: context.events,
      subject: eventSubject(config.namespace, config.name, config.uid),
      schema: shardEventSchema,
      initial: initialState,
      evolve,
      logger: this.#logger,
    });
  }

  /** Newest known state, decided or followed; undefined before the log was read. */
  get state(): ShardConfigState | undefined {
    return this.#leading?.state ?? this.#head?.state;
  }

  get log(): ConfigLog {
    return this.#log;
  }

  get hold(): ManagerHold | undefined {
    return this.#leading?.hold;
  }

  /** Monotonic time of the newest round of decisions, ms; undefined while not leading. */
  get lastRoundAt(): number | undefined {
    return this.#leading?.lastRoundAt;
  }

  /** Something about this ShardConfig changed: look now. */
  wake(): void {
    this.#wakeup.wake();
    this.#leading?.wake();
  }

  /** The connection to NATS came back, or the log may have changed under us: read it before the next decision. */
  invalidateLog(): void {
    this.#leading?.invalidateLog();
  }

  /** The ShardConfig is gone: ends `run`, after the log was closed if this manager leads. */
  remove(): void {
    this.#removed.abort();
    this.wake();
  }

  /** Runs until the ShardConfig is removed or `signal` aborts. Never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    const { leadership, clock } = this.#context;
    const over = (): boolean => signal.aborted || this.#removed.signal.aborted;
    while (!over()) {
      try {
        const { term } = leadership;
        if (term === undefined)
          await this.#standBy(AbortSignal.any([signal, this.#removed.signal, leadership.untilTerm]));
        else await this.#lead(term, signal);
      } catch (error) {
        if (over()) return;
        this.#logger.error({ err: error }, 'a term of this ShardConfig failed; starting it again');
        await clock.sleep(STANDBY_RETRY_MS, signal);
      }
    }
  }

  async #lead(term: Term, signal: AbortSignal): Promise<void> {
    const leading = new LeadingTerm({
      context: this.#context,
      config: this.config,
      log: this.#log,
      logger: this.#logger,
      term: term.number,
      warm: this.#head,
      removed: this.#removed.signal,
      regarding: { apiVersion: API_VERSION, kind: SHARD_CONFIG_KIND, metadata: { ...this.config } },
    });
    this.#leading = leading;
    try {
      await leading.run(AbortSignal.any([signal, term.signal]));
    } finally {
      this.#head = leading.head ?? this.#head;
      this.#leading = undefined;
    }
  }

  async #standBy(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        this.#head =
          this.#head === undefined ? await this.#log.load(signal) : await this.#log.resume(this.#head, signal);
        await this.#follow(this.#head, signal);
      } catch (error) {
        if (signal.aborted) return;
        const problem = errorMessage(error);
        const level = error instanceof NatsUnavailableError ? 'debug' : 'info';
        this.#logger[level]({ problem }, 'the event log cannot be followed yet; retrying');
        await this.#context.clock.sleep(STANDBY_RETRY_MS, signal);
      }
    }
  }

  async #follow(from: ConfigHead, signal: AbortSignal): Promise<void> {
    const unreadable = Promise.withResolvers<void>();
    const ended = new AbortController();
    await this.#log.follow(from, {
      signal: AbortSignal.any([signal, ended.signal]),
      onHead: (head) => {
        this.#head = head;
      },
      onReset: () => {
        this.#head = undefined;
      },
      onUnreadable: (error) => {
        this.#head = undefined;
        ended.abort();
        unreadable.reject(error);
      },
    });
    if (ended.signal.aborted) await unreadable.promise;
  }
}
