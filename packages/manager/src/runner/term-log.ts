import {
  GROUP,
  parseShardInstance,
  SHARD_INSTANCE_PLURAL,
  type ShardInstance,
  VERSION,
} from '@shard-controller/shared/api';
import { eventSubject } from '@shard-controller/shared/contracts';
import { type KubernetesClient, resourcePath } from '@shard-controller/shared/kubernetes';
import type { EventStream } from '@shard-controller/shared/nats';
import type { Logger } from '@shard-controller/shared/observability';
import type { Clock } from '@shard-controller/shared/runtime';
import type { CommandBody } from '../aggregate/index.ts';
import type { DecisionEnvelope } from '../event-log/index.ts';
import { CONFIG_LABEL, type ConfigIdentity } from '../naming/index.ts';
import type { ConfigInputs } from './config-inputs.ts';
import {
  type ConfigHead,
  type ConfigLog,
  DecisionLog,
  lostLog,
  type LostLog,
  recoveryCommand,
  revivedLog,
} from './decision-log.ts';

export interface TermLogOptions {
  readonly config: ConfigIdentity;
  readonly log: Pick<ConfigLog, 'load' | 'resume' | 'append'>;
  readonly events: Pick<EventStream<DecisionEnvelope>, 'facts' | 'lastSequence'>;
  readonly client: Pick<KubernetesClient, 'list'>;
  readonly inputs: Pick<ConfigInputs, 'observed' | 'exists'>;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Between two looks whether the log is still what was read, ms. */
  readonly probeIntervalMs: number;
  /** Head that was followed on standby. */
  readonly warm: ConfigHead | undefined;
  /** Aborts when the ShardConfig is gone. */
  readonly removed: AbortSignal;
  readonly ensureStreams: () => Promise<void>;
  /** The log was read up to `head`; `known` is the head before. Called before a lost log is rebuilt. */
  readonly onRead: (known: ConfigHead | undefined, head: ConfigHead) => void;
  /** Stores the command that rebuilds a lost log; false when it could not. */
  readonly recover: (log: DecisionLog, command: CommandBody, signal: AbortSignal) => Promise<boolean>;
  /** The log can be decided from. */
  readonly onOpen: () => void;
}

/**
 * The event log of one ShardConfig while this manager leads: reads it, rebuilds it when it is lost, and reads it again
 * when it may not be what it was.
 */
export class TermLog {
  readonly #options: TermLogOptions;
  #log: DecisionLog | undefined;
  #isStale = true;
  /** Monotonic, ms. */
  #probeAt = 0;

  constructor(options: TermLogOptions) {
    this.#options = options;
  }

  /** What was read last, stale or not. */
  get current(): DecisionLog | undefined {
    return this.#log;
  }

  get isStale(): boolean {
    return this.#isStale;
  }

  /** Something else may have been written: the log is read before the next decision. */
  invalidate(): void {
    this.#isStale = true;
  }

  /**
   * The log, up to date as far as is known; undefined when it could not be made so yet.
   * @throws NatsUnavailableError, StreamMissingError, UnknownEventError, InvalidEventError, KubernetesError, LostLogError
   */
  async open(signal: AbortSignal): Promise<DecisionLog | undefined> {
    if (!this.#isStale) await this.#probe();
    if (!this.#isStale) return this.#log;
    // What is written while it is read makes it stale again.
    this.#isStale = false;
    try {
      if (!(await this.#read(signal))) this.#isStale = true;
    } catch (error) {
      this.#isStale = true;
      throw error;
    }
    return this.#isStale ? undefined : this.#log;
  }

  /** Whether the log ends where the state that was read does, asked of NATS. */
  async isNewest(): Promise<boolean> {
    if (this.#log === undefined) return false;
    const { head } = this.#log;
    const { config, events } = this.#options;
    const { created } = await events.facts();
    if (created !== head.created) return false;
    return (await events.lastSequence(eventSubject(config.namespace, config.name, config.uid))) === head.sequence;
  }

  /** A stream that was deleted or put back while nothing is decided shows only in such a check. */
  async #probe(): Promise<void> {
    const { clock, logger, probeIntervalMs } = this.#options;
    const now = clock.monotonic();
    if (now < this.#probeAt) return;
    this.#probeAt = now + probeIntervalMs;
    if (await this.isNewest()) return;
    this.#isStale = true;
    logger.warn('the event log changed without this manager; reading it again');
  }

  /** Reads the newest state, and rebuilds the log where it is lost: false when that could not be stored. */
  async #read(signal: AbortSignal): Promise<boolean> {
    const { config, inputs, log, logger, onOpen, onRead, recover, removed, warm } = this.#options;
    await this.#options.ensureStreams();
    const known = this.#log?.head ?? warm;
    const head = known === undefined ? await log.load(signal) : await log.resume(known, signal);
    onRead(known, head);
    const read = new DecisionLog(log, head);
    const instances = await this.#listInstances(signal);
    const lost = lostLog(head, config.uid, instances) ?? (await this.#revived(head, instances, signal));
    if (lost !== undefined && !removed.aborted) {
      if (!(await recover(read, recoveryCommand(lost, inputs.observed()), signal))) return false;
    }
    this.#log = read;
    const { decisions, sequence } = read.head;
    logger.info(
      { sequence, generation: read.state.generation, decisions },
      `the event log of ShardConfig ${config.name} has been read; deciding from it`,
    );
    onOpen();
    return true;
  }

  /** What to continue from when the ShardConfig was deleted and exists again; undefined when it is not. */
  async #revived(
    head: ConfigHead,
    instances: readonly ShardInstance[],
    signal: AbortSignal,
  ): Promise<LostLog | undefined> {
    const { config, inputs, removed } = this.#options;
    if (!head.state.deleted || removed.aborted) return undefined;
    return (await inputs.exists(signal)) ? revivedLog(head, config.uid, instances) : undefined;
  }

  /** A consistent read: what the reflector has may be older than what another leader wrote. */
  async #listInstances(signal: AbortSignal): Promise<readonly ShardInstance[]> {
    const { client, config } = this.#options;
    const { namespace, name } = config;
    const path = resourcePath({ group: GROUP, version: VERSION, resource: SHARD_INSTANCE_PLURAL, namespace });
    const query = { labelSelector: `${CONFIG_LABEL}=${name}` };
    const { items } = await client.list<unknown>(path, { query, signal });
    return items.flatMap((raw) => {
      const parsed = parseShardInstance(raw);
      return parsed.ok ? [parsed.value] : [];
    });
  }
}
