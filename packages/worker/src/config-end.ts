import { GROUP, SHARD_CONFIG_PLURAL, VERSION } from '@shard-controller/shared/api';
import { type KubernetesClient, resourcePath } from '@shard-controller/shared/kubernetes';
import type { Clock } from '@shard-controller/shared/runtime';
import { z } from 'zod';
import type { WorkerIdentity } from './worker-identity.ts';

export interface ConfigEndOptions {
  readonly client: Pick<KubernetesClient, 'find'>;
  readonly identity: WorkerIdentity;
  readonly clock: Clock;
  /** Why the own ShardInstance, as its watch last reported it, is no longer one to work for. */
  readonly instanceEnded: () => string | undefined;
  /** `reason` may have changed. */
  readonly onChange: () => void;
  readonly intervalMs?: number;
}

const INTERVAL_MS = 1000;
const TIMEOUT_MS = 3000;

const seenSchema = z.looseObject({
  metadata: z.looseObject({ uid: z.string(), deletionTimestamp: z.string().optional() }),
});

/** `unknown`: no answer, or none that this worker may have. */
type Seen = 'alive' | 'unknown' | { readonly ended: string };

/**
 * Whether this worker's ShardConfig is over, so that no worker will ever take its slots. Asked only while the worker ends.
 *
 * The ShardConfig itself decides, and its namespace. A ShardInstance that is gone while its ShardConfig is alive comes
 * again: the manager re-creates it. Only where the ShardConfig cannot be read, the ShardInstance's watch decides; it
 * stays open when the permission to open it was taken away, as in a namespace whose RoleBindings went first. Lost
 * permissions are no sign of an end by themselves: the manager may still take the slots.
 */
export class ConfigEnd {
  readonly #options: ConfigEndOptions;
  #config: Seen = 'unknown';
  #namespace: Seen = 'unknown';
  #isAsked = false;

  constructor(options: ConfigEndOptions) {
    this.#options = options;
  }

  /** Why no worker will take the slots of this one, or undefined as long as one may. */
  get reason(): string | undefined {
    if (!this.#isAsked) return undefined;
    const read = [this.#namespace, this.#config].find((seen) => typeof seen === 'object');
    if (read !== undefined) return read.ended;
    return this.#config === 'unknown' ? this.#options.instanceEnded() : undefined;
  }

  /** Asks again and again until `signal` aborts. */
  async run(signal: AbortSignal): Promise<void> {
    const { identity, clock, onChange, intervalMs = INTERVAL_MS } = this.#options;
    const { namespace, config: name, uid } = identity;
    const config = resourcePath({ group: GROUP, version: VERSION, resource: SHARD_CONFIG_PLURAL, namespace, name });
    const space = resourcePath({ group: '', version: 'v1', resource: 'namespaces', name: namespace });
    while (!signal.aborted) {
      [this.#config, this.#namespace] = await Promise.all([
        this.#look(`ShardConfig ${namespace}/${name}`, config, uid, signal),
        this.#look(`namespace ${namespace}`, space, undefined, signal),
      ]);
      if (signal.aborted) return;
      this.#isAsked = true;
      onChange();
      await clock.sleep(intervalMs, signal);
    }
  }

  async #look(what: string, path: string, uid: string | undefined, signal: AbortSignal): Promise<Seen> {
    try {
      const raw = await this.#options.client.find<unknown>(path, { signal, timeoutMs: TIMEOUT_MS });
      if (raw === undefined) return { ended: `${what} is gone` };
      const seen = seenSchema.safeParse(raw);
      if (!seen.success) return 'unknown';
      const { metadata } = seen.data;
      if (uid !== undefined && metadata.uid !== uid) return { ended: `${what} was deleted and re-created` };
      return metadata.deletionTimestamp === undefined ? 'alive' : { ended: `${what} is being deleted` };
    } catch {
      return 'unknown';
    }
  }
}
