import type { Clock } from '@shard-controller/shared/runtime';
import type { ClusterView } from '../observation/index.ts';

export interface InstanceReadsOptions {
  readonly cluster: Pick<ClusterView, 'readInstance'>;
  /** Name of the ShardConfig. */
  readonly config: string;
  readonly clock: Clock;
  /** The API server has answered: there may be something to decide. */
  readonly onAnswer: () => void;
}

/** Reads at the same time: when many workers are silent at once, the answers come a little later. */
const MOST_AT_ONCE = 16;
/** Between two reads of the same ShardInstance, ms. */
const AGAIN_MS = 1_000;

/** Asks the API server for the ShardInstances of silent workers, each at most once a second. */
export class InstanceReads {
  readonly #options: InstanceReadsOptions;
  readonly #reading = new Set<string>();
  /** Monotonic, ms. */
  readonly #askedAt = new Map<string, number>();
  readonly #stopped = new AbortController();

  constructor(options: InstanceReadsOptions) {
    this.#options = options;
  }

  /** Has these read soon; the others are forgotten. */
  want(shardIds: readonly string[]): void {
    const { clock } = this.#options;
    const wanted = new Set(shardIds);
    for (const shardId of this.#askedAt.keys()) if (!wanted.has(shardId)) this.#askedAt.delete(shardId);
    for (const shardId of wanted) {
      const askedAt = this.#askedAt.get(shardId);
      const isEarly = askedAt !== undefined && clock.monotonic() - askedAt < AGAIN_MS;
      if (isEarly || this.#reading.has(shardId) || this.#reading.size >= MOST_AT_ONCE) continue;
      this.#askedAt.set(shardId, clock.monotonic());
      void this.#read(shardId);
    }
  }

  stop(): void {
    this.#stopped.abort();
  }

  /** `readInstance` does not reject. */
  async #read(shardId: string): Promise<void> {
    const { cluster, config, onAnswer } = this.#options;
    this.#reading.add(shardId);
    const isAnswered = await cluster.readInstance(config, shardId, this.#stopped.signal);
    this.#reading.delete(shardId);
    if (isAnswered && !this.#stopped.signal.aborted) onAnswer();
  }
}
