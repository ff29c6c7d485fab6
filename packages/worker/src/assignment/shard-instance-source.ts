import {
  assignmentOf,
  GROUP,
  parseShardInstance,
  type ReplicaStatus,
  SHARD_INSTANCE_PLURAL,
  type ShardInstance,
  VERSION,
} from '@shard-controller/shared/api';
import type { Assignment } from '@shard-controller/shared/contracts';
import {
  isAborted,
  type KubernetesClient,
  Reflector,
  type ReflectorMetrics,
  resourcePath,
} from '@shard-controller/shared/kubernetes';
import type { Logger } from '@shard-controller/shared/observability';
import { type Clock, errorMessage } from '@shard-controller/shared/runtime';
import type { WorkerIdentity } from '../worker-identity.ts';
import type { AssignmentKeeper } from './assignment-keeper.ts';

export interface ShardInstanceSourceOptions {
  readonly client: KubernetesClient;
  readonly identity: WorkerIdentity;
  readonly keeper: AssignmentKeeper;
  readonly logger: Logger;
  readonly clock: Clock;
  readonly metrics?: ReflectorMetrics;
  /**
   * What this pod has said of itself before this process, if anything: once, before the first assignment. The pod's other
   * containers may be older than this process.
   */
  readonly onPast: (status: ReplicaStatus | undefined) => void;
  /** The reason for waiting, or for the ShardInstance's end, has changed. */
  readonly onChange: () => void;
}

/** Tries for the first read of the ShardInstance are at most this far apart, ms. */
const MAX_RETRY_MS = 2000;
/** A wait that continues is said again after so long, ms. */
const REMINDER_MS = 30_000;
const READ_TIMEOUT_MS = 5000;

/**
 * Assignments from the own ShardInstance: first a consistent read, so that a restarted worker never begins with what
 * some cache remembers, then a watch.
 */
export class ShardInstanceSource {
  readonly #options: ShardInstanceSourceOptions;
  readonly #path: string;
  readonly #loaded = Promise.withResolvers<void>();
  readonly #reflector: Reflector<ShardInstance>;
  #waiting = 'the ShardInstance has not been read yet';
  #lastReadMs: number | undefined;
  #isTaken = false;
  #ended: string | undefined;
  #held: Pick<Assignment, 'generation' | 'epoch'> | undefined;

  constructor(options: ShardInstanceSourceOptions) {
    this.#options = options;
    const { identity, client, logger, clock, metrics } = options;
    const collection = {
      group: GROUP,
      version: VERSION,
      resource: SHARD_INSTANCE_PLURAL,
      namespace: identity.namespace,
    };
    this.#path = resourcePath({ ...collection, name: identity.shardInstance });
    this.#reflector = new Reflector<ShardInstance>({
      client,
      path: resourcePath(collection),
      query: { fieldSelector: `metadata.name=${identity.shardInstance}` },
      parse: parseShardInstance,
      handler: {
        replace: (items) => (items[0] === undefined ? this.#gone() : this.#take(items[0])),
        upsert: (instance) => this.#take(instance),
        remove: () => this.#gone(),
        invalid: (_raw, problems) => this.#options.keeper.invalid('shardinstance', problems.join('; ')),
      },
      logger,
      clock,
      ...(metrics === undefined ? {} : { metrics }),
    });
  }

  /** Resolves after the first consistent read that found the ShardInstance. */
  get loaded(): Promise<void> {
    return this.#loaded.promise;
  }

  /** Why there is no assignment from here yet. */
  get waiting(): string {
    return this.#waiting;
  }

  /** The assignment that the ShardInstance held when it was last read, whatever the fence said to it. */
  get held(): Pick<Assignment, 'generation' | 'epoch'> | undefined {
    return this.#held;
  }

  /** Why the ShardInstance is no longer one to work for: gone, going, or another ShardConfig's. */
  get ended(): string | undefined {
    return this.#ended;
  }

  /** Monotonic time of the API server's newest sign of life here, ms; undefined before the first. */
  get lastProofMs(): number | undefined {
    const proofs = [this.#lastReadMs, this.#reflector.lastProofMs].filter((at) => at !== undefined);
    return proofs.length === 0 ? undefined : Math.max(...proofs);
  }

  /**
   * One consistent read (no resourceVersion, so the server answers from the quorum). Resolves with the reason when there
   * is no usable ShardInstance. @throws KubernetesError when the server gave no answer.
   */
  async read(signal: AbortSignal, timeoutMs = READ_TIMEOUT_MS): Promise<string | undefined> {
    const raw = await this.#options.client.find<unknown>(this.#path, { signal, timeoutMs });
    this.#lastReadMs = this.#options.clock.monotonic();
    if (raw === undefined) return `ShardInstance ${this.#name()} does not exist yet; the manager creates it`;
    const parsed = parseShardInstance(raw);
    if (parsed.ok) {
      this.#take(parsed.value);
      return undefined;
    }
    const problem = parsed.problems.join('; ');
    this.#options.keeper.invalid('shardinstance', problem);
    return `ShardInstance ${this.#name()} is not valid: ${problem}`;
  }

  async run(signal: AbortSignal): Promise<void> {
    await this.#firstRead(signal);
    if (signal.aborted) return;
    this.#loaded.resolve();
    await this.#reflector.run(signal);
  }

  async #firstRead(signal: AbortSignal): Promise<void> {
    const { clock, logger } = this.#options;
    let said = '';
    let saidAt = -Infinity;
    for (let wait = 200; !signal.aborted; wait = Math.min(MAX_RETRY_MS, wait * 2)) {
      try {
        const problem = await this.read(signal);
        if (problem === undefined) return;
        this.#wait(problem);
      } catch (error) {
        if (isAborted(error)) return;
        this.#wait(`ShardInstance ${this.#name()} cannot be read: ${errorMessage(error)}`);
      }
      if (this.#waiting !== said || clock.monotonic() - saidAt > REMINDER_MS) {
        logger.warn({ shardInstance: this.#name() }, `waiting for an assignment: ${this.#waiting}`);
        [said, saidAt] = [this.#waiting, clock.monotonic()];
      }
      await clock.sleep(wait, signal);
    }
  }

  #take(instance: ShardInstance): void {
    this.#waiting = '';
    const { identity, onPast } = this.#options;
    this.#held = { generation: instance.spec.generation, epoch: instance.spec.epoch };
    this.#end(
      instance.spec.shardConfigRef.uid !== identity.uid
        ? `ShardInstance ${this.#name()} belongs to another ShardConfig`
        : instance.metadata.deletionTimestamp === undefined
          ? undefined
          : `ShardInstance ${this.#name()} is being deleted`,
    );
    if (!this.#isTaken) {
      this.#isTaken = true;
      onPast(
        instance.status?.replicas?.find(({ replica, pod }) => replica === identity.replica && pod === identity.pod),
      );
    }
    this.#options.keeper.offer(assignmentOf(instance));
  }

  /** The ShardConfig is being deleted, or a user made a mistake: what is served stays, nothing was reassigned. */
  #gone(): void {
    this.#options.logger.warn(
      { shardInstance: this.#name() },
      'the ShardInstance is gone; keeping the assignment in force',
    );
    this.#end(`ShardInstance ${this.#name()} is gone`);
  }

  #end(reason: string | undefined): void {
    if (reason === this.#ended) return;
    this.#ended = reason;
    this.#options.onChange();
  }

  #wait(reason: string): void {
    if (reason === this.#waiting) return;
    this.#waiting = reason;
    this.#options.onChange();
  }

  #name(): string {
    return `${this.#options.identity.namespace}/${this.#options.identity.shardInstance}`;
  }
}
