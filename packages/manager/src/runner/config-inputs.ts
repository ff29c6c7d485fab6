import { GROUP, SHARD_CONFIG_PLURAL, VERSION } from '@shard-controller/shared/api';
import { type KubernetesClient, type KubernetesObject, resourcePath } from '@shard-controller/shared/kubernetes';
import type { Clock } from '@shard-controller/shared/runtime';
import type { CommandBody, ObservedConfig, ShardConfigState } from '../aggregate/index.ts';
import type { WorkerSettings } from '../config/index.ts';
import type { ConfigIdentity } from '../naming/index.ts';
import type { ClusterView } from '../observation/index.ts';
import { isNewConfig, observedConfig } from './observed-commands.ts';

/** Between two consistent reads of a spec that seems to be older than it was, ms. */
const ASK_AGAIN_MS = 2_000;
/** Most problems of an invalid spec that an event holds, and most characters of each. */
const MAX_PROBLEMS = 50;
const MAX_PROBLEM_LENGTH = 500;

export interface ConfigInputsOptions {
  readonly config: ConfigIdentity;
  readonly cluster: Pick<ClusterView, 'config' | 'invalid'>;
  readonly client: Pick<KubernetesClient, 'find'>;
  readonly worker: WorkerSettings;
  readonly clock: Clock;
  /** Aborts when the ShardConfig is gone. */
  readonly removed: AbortSignal;
}

/** What is seen of the ShardConfig itself, as commands. */
export class ConfigInputs {
  readonly #options: ConfigInputsOptions;
  /** What was offered as ConfigObserved and not taken; not offered again until it changes. */
  #offered = '';
  /** Generation of the spec, when it is an older one than the state's and the API server has confirmed it. */
  #restored: number | undefined;
  /** Monotonic, ms. */
  #askAgainAt = 0;

  constructor(options: ConfigInputsOptions) {
    this.#options = options;
  }

  /** The state starts again: what it did not take before may be offered once more. */
  reset(): void {
    this.#offered = '';
  }

  /** The newest valid spec in the form that decisions use; undefined while none is known. */
  observed(): ObservedConfig | undefined {
    const { cluster, config, worker } = this.#options;
    const resource = cluster.config(config.uid);
    if (resource === undefined) return undefined;
    return observedConfig(config, resource.spec, resource.metadata.generation ?? 0, worker);
  }

  commands(state: ShardConfigState): CommandBody[] {
    const { cluster, config, removed } = this.#options;
    if (removed.aborted) return state.uid === '' || state.deleted ? [] : [{ type: 'ConfigDeleted' }];
    const invalid = cluster.invalid(config.uid);
    const isRestored = this.#restored !== undefined;
    if (invalid !== undefined && state.rejected?.specGeneration !== invalid.generation) {
      const problems = invalid.problems.slice(0, MAX_PROBLEMS).map((problem) => problem.slice(0, MAX_PROBLEM_LENGTH));
      return [{ type: 'ConfigInvalid', specGeneration: invalid.generation, problems, isRestored }];
    }
    const observed = this.observed();
    if (observed === undefined || invalid !== undefined || !isNewConfig(state, observed)) return [];
    const offer = JSON.stringify(observed);
    if (offer === this.#offered && state.rejected?.specGeneration === observed.specGeneration) return [];
    this.#offered = offer;
    return [{ type: 'ConfigObserved', config: observed, isRestored }];
  }

  /**
   * A spec that is older than the state's is either a late one, of a cache, or a restored one. Only the API server itself
   * can tell.
   */
  async confirmRestored(state: ShardConfigState, signal: AbortSignal): Promise<void> {
    const { cluster, clock, config } = this.#options;
    const seen = cluster.invalid(config.uid)?.generation ?? cluster.config(config.uid)?.metadata.generation;
    const newest = Math.max(state.specGeneration, state.rejected?.specGeneration ?? 0);
    const isOlder = seen !== undefined && seen < newest;
    if (!isOlder || state.deleted) this.#restored = undefined;
    if (!isOlder || this.#restored === seen || clock.monotonic() < this.#askAgainAt) return;
    this.#askAgainAt = clock.monotonic() + ASK_AGAIN_MS;
    const present = await this.#read(signal);
    this.#restored = present?.metadata?.uid === config.uid && present.metadata.generation === seen ? seen : undefined;
    this.#offered = '';
  }

  /** Whether the API server has the ShardConfig, and it is not being deleted. */
  async exists(signal: AbortSignal): Promise<boolean> {
    const present = await this.#read(signal);
    return present?.metadata?.uid === this.#options.config.uid && present.metadata.deletionTimestamp === undefined;
  }

  /** A consistent read. */
  async #read(signal: AbortSignal): Promise<KubernetesObject | undefined> {
    const { namespace, name } = this.#options.config;
    const path = resourcePath({ group: GROUP, version: VERSION, resource: SHARD_CONFIG_PLURAL, namespace, name });
    return this.#options.client.find<KubernetesObject>(path, { signal });
  }
}
