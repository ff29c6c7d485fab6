import { type Assignment, assignmentSubject, eventSubject } from '@shard-controller/shared/contracts';
import type { EventRecorder, KubernetesObject } from '@shard-controller/shared/kubernetes';
import { NatsUnavailableError } from '@shard-controller/shared/nats';
import type { Logger } from '@shard-controller/shared/observability';
import { errorCode, errorMessage } from '@shard-controller/shared/runtime';
import { type CommandBody, evolve, type ShardConfigState, type ShardEvent } from '../aggregate/index.ts';
import type { ManagerHold } from '../effects/index.ts';
import type { ConfigIdentity } from '../naming/index.ts';
import type { ConfigHead } from './decision-log.ts';
import type { DecisionMetrics } from './metrics.ts';
import { describeEvent } from './event-message.ts';

/** Rejections that are remembered so as to be logged at level info only once. */
const MAX_REJECTIONS = 1000;

type FailedRound = 'NatsUnavailable' | 'LogUnreadable' | 'CannotDecide';

export interface DecisionReportOptions {
  readonly config: ConfigIdentity;
  /** The ShardConfig, as the object of its Events. */
  readonly regarding: KubernetesObject;
  readonly recorder: Pick<EventRecorder, 'record'>;
  readonly metrics: Pick<DecisionMetrics, 'event' | 'rejected'>;
  readonly logger: Logger;
  /** What keeps the manager from deciding has changed. */
  readonly onHold: () => void;
}

/** Says what one leader decides, and why it does not: in the log, as Kubernetes Events and as metrics. */
export class DecisionReport {
  readonly #options: DecisionReportOptions;
  readonly #rejections = new Set<string>();
  #hold: ManagerHold | undefined = { reason: 'Starting', message: 'the event log is being read' };

  constructor(options: DecisionReportOptions) {
    this.#options = options;
  }

  /** Why nothing is decided; undefined while decisions are made. */
  get hold(): ManagerHold | undefined {
    return this.#hold;
  }

  /** Notes why nothing is decided: once in the log and as an Event, and in the status while it lasts. */
  held(reason: string, message: string, error?: unknown): void {
    const { logger, recorder, regarding, onHold } = this.#options;
    if (this.#hold?.reason !== reason) {
      logger.warn({ reason, ...(error === undefined ? {} : { err: error }) }, `no decisions: ${message}`);
      recorder.record(regarding, { type: 'Warning', reason, note: message });
    }
    this.#hold = { reason, message };
    onHold();
  }

  natsUnavailable(problem = ''): void {
    const message = `NATS cannot be used, so nothing is decided; the workers keep serving. ${problem}`;
    this.held('NatsUnavailable', message.trim());
  }

  /** A round of decisions has failed; returns the reason that stands in the status. */
  failed(error: unknown): FailedRound {
    const message = errorMessage(error);
    if (error instanceof NatsUnavailableError) {
      this.natsUnavailable(message);
      return 'NatsUnavailable';
    }
    const reason = errorCode(error)?.startsWith('SC_EVENT_') === true ? 'LogUnreadable' : 'CannotDecide';
    this.held(reason, message, error);
    return reason;
  }

  resumed(): void {
    if (this.#hold === undefined) return;
    if (this.#hold.reason !== 'Starting') {
      this.#options.logger.info({ was: this.#hold.reason }, 'deciding again');
    }
    this.#hold = undefined;
    this.#options.onHold();
  }

  /** A decision was stored; `sequence` is its place in the log, `before` the state that it was made on. */
  decided(events: readonly ShardEvent[], before: ShardConfigState, sequence: number): void {
    const { config, logger, metrics, recorder, regarding } = this.#options;
    let state = before;
    for (const event of events) {
      const { level, message, note } = describeEvent(event, state.migrations);
      logger[level]({ event: event.type, epoch: sequence, ...shardFields(event) }, message);
      if (note !== undefined) recorder.record(regarding, { ...note, note: message });
      metrics.event(config, event, state);
      state = evolve(state, event, sequence);
    }
  }

  rejected(machine: string, reason: string, command: CommandBody): void {
    const { config, logger, metrics } = this.#options;
    metrics.rejected(config, machine, command.type);
    const key = `${machine} ${command.type} ${reason}`;
    const level = this.#rejections.has(key) ? 'debug' : 'info';
    if (this.#rejections.size > MAX_REJECTIONS) this.#rejections.clear();
    this.#rejections.add(key);
    logger[level]({ machine, command: command.type, reason }, 'command rejected');
  }

  /** Another client has written messages to the log, since `known`, that are not decisions. */
  skipped(known: ConfigHead | undefined, head: ConfigHead): void {
    const more = head.skipped - (known?.created === head.created ? known.skipped : 0);
    if (more <= 0) return;
    const { recorder, regarding } = this.#options;
    const { namespace, name, uid } = this.#options.config;
    recorder.record(regarding, {
      type: 'Warning',
      reason: 'InvalidLogMessage',
      note:
        `${more} messages on NATS subject ${eventSubject(namespace, name, uid)}, the newest up to sequence ${head.sequence}, ` +
        'are not decisions: skipped. Find out who else writes to NATS',
    });
  }

  /** Another client has written to an assignment's subject. */
  forged(forged: Assignment, by: Assignment): void {
    const { logger, recorder, regarding } = this.#options;
    const subject = assignmentSubject({ ...forged.shardConfig, config: forged.shardConfig.name, shardId: by.shardId });
    const message =
      `NATS subject ${subject} held assignment ${forged.generation}/${forged.epoch}, which the event log does not: replaced by ` +
      `${by.generation}/${by.epoch}. Find out who else writes to NATS`;
    logger.warn({ subject, forged: `${forged.generation}/${forged.epoch}` }, message);
    recorder.record(regarding, { type: 'Warning', reason: 'ForgedAssignment', note: message });
  }

  streamRestored(): void {
    const { logger, recorder, regarding } = this.#options;
    const note = 'a stream in NATS was gone; it was re-created, and the assignments are published again';
    logger.warn(note);
    recorder.record(regarding, { type: 'Warning', reason: 'StreamRestored', note });
  }
}

/** Fields of an event that a log line should have of its own. */
function shardFields(event: ShardEvent): Record<string, string> {
  return {
    ...('shardId' in event && event.shardId !== undefined ? { shard: event.shardId } : {}),
    ...('id' in event ? { migration: event.id } : {}),
    ...('source' in event ? { source: event.source, target: event.target } : {}),
  };
}
