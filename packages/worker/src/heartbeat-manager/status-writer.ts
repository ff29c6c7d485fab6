import { GROUP, SHARD_INSTANCE_PLURAL, VERSION } from '@shard-controller/shared/api';
import type { Heartbeat } from '@shard-controller/shared/contracts';
import { isAborted, isNotFound, type KubernetesClient, resourcePath } from '@shard-controller/shared/kubernetes';
import type { Logger } from '@shard-controller/shared/observability';
import { type Clock, errorMessage } from '@shard-controller/shared/runtime';
import type { WorkerIdentity } from '../worker-identity.ts';
import { type Capacity, loadRatio } from './load-ratio.ts';
import { PeriodicLoop } from './periodic-loop.ts';
import { ShardConditions } from './shard-conditions.ts';
import { statusObject, statusSignature } from './shard-instance-status.ts';

export interface StatusWriterOptions {
  readonly client: { patch(...call: Parameters<KubernetesClient['patch']>): Promise<unknown> };
  readonly identity: WorkerIdentity;
  readonly heartbeat: () => Heartbeat;
  readonly capacity: Capacity;
  /** Whether this replica is the one to scrape. */
  readonly active: () => boolean;
  readonly intervalMs: number;
  /** Whether this is the only sign of life: NATS does not take the heartbeats. */
  readonly alone: () => boolean;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly onWrite: (outcome: 'written' | 'failed') => void;
}

/** Least time between two writes, ms. */
const MIN_GAP_MS = 500;
const RETRY_MS = 2000;
/** The same, and the interval, while this is the only sign of life: the manager waits for two of them, ms. */
const ALONE_RETRY_MS = 500;
const ALONE_INTERVAL_MS = 2000;
const TIMEOUT_MS = 5000;

/**
 * Applies this worker's part of its ShardInstance's status: the slow sign of life, for people and for a manager that does
 * not hear this worker on NATS. It is written more often while it is the only one. A failed write is tried again and never disturbs anything else.
 */
export class StatusWriter {
  readonly #options: StatusWriterOptions;
  readonly #path: string;
  readonly #loop: PeriodicLoop;
  readonly #conditions = new ShardConditions();
  #signal: AbortSignal | undefined;
  #written = '';
  #problem = '';
  #writtenAt: number | undefined;

  constructor(options: StatusWriterOptions) {
    this.#options = options;
    const { identity } = options;
    this.#path = resourcePath({
      group: GROUP,
      version: VERSION,
      resource: SHARD_INSTANCE_PLURAL,
      namespace: identity.namespace,
      name: identity.shardInstance,
      subresource: 'status',
    });
    this.#loop = new PeriodicLoop({
      clock: options.clock,
      intervalMs: () => (options.alone() ? ALONE_INTERVAL_MS : options.intervalMs),
      minGapMs: MIN_GAP_MS,
      beat: () => this.#write(this.#signal),
    });
  }

  /** Monotonic time of the newest successful write, ms. */
  get writtenAt(): number | undefined {
    return this.#writtenAt;
  }

  /** Something may have changed: writes soon when it is worth it. */
  readonly consider = (heartbeat: Heartbeat): void => {
    if (statusSignature(heartbeat) !== this.#written) this.#loop.trigger();
  };

  /** Writes as soon as the least gap allows. */
  readonly trigger = (): void => this.#loop.trigger();

  async run(signal: AbortSignal): Promise<void> {
    this.#signal = signal;
    await this.#loop.run(signal);
  }

  /** Writes once more, for the last time. */
  async last(): Promise<void> {
    await this.#write(AbortSignal.timeout(1000));
  }

  async #write(signal: AbortSignal | undefined): Promise<void> {
    const { client, identity, heartbeat, capacity, active, onWrite } = this.#options;
    const now = heartbeat();
    const object = statusObject(identity, now, loadRatio(now.load, capacity), active(), this.#conditions.of(now));
    try {
      await client.patch(this.#path, object, {
        contentType: 'application/apply-patch+yaml',
        query: { fieldManager: `shard-controller-worker-${identity.replica}`, force: true },
        timeoutMs: TIMEOUT_MS,
        signal,
      });
      this.#written = statusSignature(now);
      this.#writtenAt = this.#options.clock.monotonic();
      onWrite('written');
      this.#say('');
    } catch (error) {
      if (isAborted(error)) return;
      onWrite('failed');
      this.#say(isNotFound(error) ? 'the ShardInstance does not exist' : errorMessage(error));
      await this.#options.clock.sleep(this.#options.alone() ? ALONE_RETRY_MS : RETRY_MS, signal);
      this.#loop.trigger();
    }
  }

  /** One line per change of the problem. */
  #say(problem: string): void {
    if (problem === this.#problem) return;
    this.#problem = problem;
    if (problem === '') this.#options.logger.info('ShardInstance status can be written again');
    else this.#options.logger.warn(`ShardInstance status cannot be written: ${problem}`);
  }
}
