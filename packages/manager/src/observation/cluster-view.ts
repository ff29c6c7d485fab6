import {
  GROUP,
  parseShardConfig,
  parseShardInstance,
  SHARD_CONFIG_PLURAL,
  SHARD_INSTANCE_PLURAL,
  type ShardConfig,
  type ShardConfigStatus,
  shardConfigStatusSchema,
  type ShardInstance,
  VERSION,
} from '@shard-controller/shared/api';
import type { Replica, WorkerAddress } from '@shard-controller/shared/contracts';
import { type Invalid, type KubernetesClient, Reflector, resourcePath } from '@shard-controller/shared/kubernetes';
import type { Logger } from '@shard-controller/shared/observability';
import type { Clock } from '@shard-controller/shared/runtime';
import { selectorText } from '../naming/index.ts';
import { parseWorkerPod, type WorkerPod } from './worker-pods.ts';
import type { WorkerWord } from './worker-registry.ts';

/** A ShardConfig that the API server took and our schema does not. */
export interface InvalidConfig {
  readonly name: string;
  readonly namespace: string;
  readonly uid: string;
  readonly generation: number;
  readonly problems: readonly string[];
  readonly status: ShardConfigStatus | undefined;
}

export interface ClusterViewHandler {
  configChanged(config: ShardConfig): void;
  configInvalid(config: InvalidConfig): void;
  configRemoved(uid: string): void;
  /** Something of a ShardConfig other than the object itself changed: a pod, or what its ShardInstances say. */
  objectsChanged(config: string): void;
}

export interface ClusterViewOptions {
  readonly client: KubernetesClient;
  readonly namespace: string;
  readonly logger: Logger;
  readonly clock: Clock;
  readonly handler: ClusterViewHandler;
}

const READ_TIMEOUT_MS = 2_000;

interface SeenEntry {
  readonly text: string | undefined;
  /** Which process wrote it. */
  readonly boot: string | undefined;
  /** When `text` was last seen to change. Monotonic, ms. */
  readonly at: number;
}

interface SeenInstance {
  readonly instance: ShardInstance;
  /** What the workers have written, by replica. */
  readonly entries: Readonly<Record<Replica, SeenEntry>>;
  /** When it was last asked for by `readInstance`. Monotonic, ms. */
  readonly readAt: number | undefined;
}

/** ShardConfigs, ShardInstances and worker pods of one namespace, as the API server last reported them. */
export class ClusterView {
  readonly #options: ClusterViewOptions;
  readonly #configs = new Map<string, ShardConfig>();
  readonly #invalid = new Map<string, InvalidConfig>();
  readonly #pods = new Map<string, WorkerPod>();
  readonly #instances = new Map<string, SeenInstance>();
  readonly #reflectors;
  #synced = false;

  constructor(options: ClusterViewOptions) {
    this.#options = options;
    const { client, namespace, logger, clock } = options;
    const shared = { client, logger, clock };
    const own = (resource: string) => resourcePath({ group: GROUP, version: VERSION, resource, namespace });
    this.#reflectors = {
      configs: new Reflector<ShardConfig>({
        ...shared,
        path: own(SHARD_CONFIG_PLURAL),
        parse: parseShardConfig,
        handler: this.#configHandler(),
      }),
      instances: new Reflector<ShardInstance>({
        ...shared,
        path: own(SHARD_INSTANCE_PLURAL),
        parse: parseShardInstance,
        handler: this.#instanceHandler(),
      }),
      pods: new Reflector<WorkerPod>({
        ...shared,
        path: resourcePath({ group: '', version: 'v1', resource: 'pods', namespace }),
        query: { labelSelector: selectorText({ 'app.kubernetes.io/name': 'shard-controller-worker' }) },
        parse: parseWorkerPod,
        handler: this.#podHandler(),
      }),
    };
  }

  /** Resolves when all three collections were listed once. */
  get synced(): Promise<void> {
    const { configs, instances, pods } = this.#reflectors;
    return Promise.all([configs.synced, instances.synced, pods.synced]).then(() => {
      this.#synced = true;
    });
  }

  get isSynced(): boolean {
    return this.#synced;
  }

  get configs(): readonly ShardConfig[] {
    return [...this.#configs.values()];
  }

  async run(signal: AbortSignal): Promise<void> {
    await Promise.all(Object.values(this.#reflectors).map((reflector) => reflector.run(signal)));
  }

  config(uid: string): ShardConfig | undefined {
    return this.#configs.get(uid);
  }

  /** Set while the newest form of a ShardConfig does not pass our schema. */
  invalid(uid: string): InvalidConfig | undefined {
    return this.#invalid.get(uid);
  }

  /** The status as it stands in the resource, valid or not. */
  status(uid: string): ShardConfigStatus | undefined {
    const invalid = this.#invalid.get(uid);
    return invalid === undefined ? this.#configs.get(uid)?.status : invalid.status;
  }

  get invalidConfigs(): readonly InvalidConfig[] {
    return [...this.#invalid.values()];
  }

  pods(config: string): readonly WorkerPod[] {
    return [...this.#pods.values()].filter((pod) => pod.config === config);
  }

  /** The worker that a pod is, by the pod's uid; undefined for one that is not there or on its way out for good. */
  worker(podUid: string): WorkerAddress | undefined {
    const pod = [...this.#pods.values()].find(({ uid }) => uid === podUid);
    if (pod === undefined) return undefined;
    const { config, shardId, replica } = pod;
    return { namespace: this.#options.namespace, config, shardId, replica };
  }

  /** A worker's pod: null when there is none, undefined before pods were listed. */
  pod(config: string, shardId: string, replica: Replica): WorkerPod | null | undefined {
    if (!this.#synced) return undefined;
    return this.pods(config).find((pod) => pod.shardId === shardId && pod.replica === replica) ?? null;
  }

  /** ShardInstances that name this ShardConfig, by shard. */
  instances(config: string): ReadonlyMap<string, ShardInstance> {
    const found = [...this.#instances.values()].filter(({ instance }) => instance.spec.shardConfigRef.name === config);
    return new Map(found.map(({ instance }) => [instance.spec.shardId, instance]));
  }

  /** When the worker's entry in the ShardInstance was last seen to change; undefined when there is none. */
  instanceStatusAt(config: string, shardId: string, replica: Replica): number | undefined {
    const entry = this.#instances.get(`${config}-${shardId}`)?.entries[replica];
    return entry?.text === undefined ? undefined : entry.at;
  }

  /** What the worker has written in the ShardInstance, which no other client can; undefined when it has not. */
  word(config: string, shardId: string, replica: Replica): WorkerWord | undefined {
    const entry = this.#instances.get(`${config}-${shardId}`)?.entries[replica];
    return entry?.boot === undefined ? undefined : { boot: entry.boot, at: entry.at };
  }

  /** When the answer to the newest `readInstance` was asked for; undefined when there was none. */
  instanceReadAt(config: string, shardId: string): number | undefined {
    return this.#instances.get(`${config}-${shardId}`)?.readAt;
  }

  /**
   * Asks the API server itself, because a watch that brings nothing may be dead. What the workers have written by then is
   * known afterwards; whether there was an answer.
   */
  async readInstance(config: string, shardId: string, signal: AbortSignal): Promise<boolean> {
    const { client, clock, namespace } = this.#options;
    const name = `${config}-${shardId}`;
    const path = resourcePath({ group: GROUP, version: VERSION, resource: SHARD_INSTANCE_PLURAL, namespace, name });
    const readAt = clock.monotonic();
    try {
      const parsed = parseShardInstance(await client.get<unknown>(path, { signal, timeoutMs: READ_TIMEOUT_MS }));
      const seen = this.#instances.get(name);
      if (!parsed.ok || seen === undefined) return false;
      // The object itself stays what the watch brings, in its order.
      this.#instances.set(name, { ...seen, entries: this.#entriesOf(parsed.value, seen), readAt });
      return true;
    } catch {
      return false;
    }
  }

  #entriesOf(instance: ShardInstance, before: SeenInstance | undefined): SeenInstance['entries'] {
    const entryOf = (of: Replica): SeenEntry => {
      const written = instance.status?.replicas?.find(({ replica }) => replica === of);
      const text = written === undefined ? undefined : JSON.stringify(written);
      const earlier = before?.entries[of];
      return earlier !== undefined && earlier.text === text
        ? earlier
        : { text, boot: written?.boot, at: this.#options.clock.monotonic() };
    };
    return { a: entryOf('a'), b: entryOf('b') };
  }

  #configHandler() {
    const { handler, namespace } = this.#options;
    const upsert = (config: ShardConfig): void => {
      this.#configs.set(config.metadata.uid, config);
      this.#invalid.delete(config.metadata.uid);
      handler.configChanged(config);
    };
    const remove = (uid: string): void => {
      this.#configs.delete(uid);
      this.#invalid.delete(uid);
      handler.configRemoved(uid);
    };
    return {
      replace: (items: readonly ShardConfig[], _: string, invalid: readonly Invalid[]) => {
        const refused = invalid.flatMap(({ raw }) => metadataOf(raw)?.uid ?? []);
        const present = new Set([...items.map(({ metadata }) => metadata.uid), ...refused]);
        for (const uid of [...this.#configs.keys(), ...this.#invalid.keys()]) if (!present.has(uid)) remove(uid);
        for (const item of items) {
          // The last valid form of an object whose newest form is not: it was reported just before.
          const invalid = this.#invalid.get(item.metadata.uid);
          if (invalid === undefined || invalid.generation <= (item.metadata.generation ?? 0)) upsert(item);
        }
      },
      upsert,
      remove: ({ metadata }: ShardConfig) => remove(metadata.uid),
      removeInvalid: (raw: Readonly<Record<string, unknown>>) => {
        const uid = metadataOf(raw)?.uid;
        if (uid !== undefined) remove(uid);
      },
      invalid: (raw: Readonly<Record<string, unknown>>, problems: readonly string[]) => {
        const metadata = metadataOf(raw);
        if (metadata === undefined) return;
        const status = shardConfigStatusSchema.safeParse(raw['status']);
        const invalid = { namespace, ...metadata, problems, status: status.data };
        this.#invalid.set(metadata.uid, invalid);
        handler.configInvalid(invalid);
      },
    };
  }

  #instanceHandler() {
    const { handler } = this.#options;
    const upsert = (instance: ShardInstance): void => {
      const key = instance.metadata.name;
      const before = this.#instances.get(key);
      this.#instances.set(key, { instance, entries: this.#entriesOf(instance, before), readAt: before?.readAt });
      handler.objectsChanged(instance.spec.shardConfigRef.name);
    };
    const remove = (instance: ShardInstance): void => {
      this.#instances.delete(instance.metadata.name);
      handler.objectsChanged(instance.spec.shardConfigRef.name);
    };
    return {
      replace: (items: readonly ShardInstance[]) => {
        const present = new Set(items.map(({ metadata }) => metadata.name));
        for (const { instance } of this.#instances.values()) if (!present.has(instance.metadata.name)) remove(instance);
        for (const item of items) upsert(item);
      },
      upsert,
      remove,
    };
  }

  #podHandler() {
    const { handler } = this.#options;
    const upsert = (pod: WorkerPod): void => {
      this.#pods.set(pod.name, pod);
      handler.objectsChanged(pod.config);
    };
    const remove = (pod: WorkerPod): void => {
      if (this.#pods.get(pod.name)?.uid === pod.uid) this.#pods.delete(pod.name);
      handler.objectsChanged(pod.config);
    };
    return {
      replace: (items: readonly WorkerPod[]) => {
        const present = new Set(items.map(({ uid }) => uid));
        for (const pod of this.#pods.values()) if (!present.has(pod.uid)) remove(pod);
        for (const item of items) upsert(item);
      },
      upsert,
      remove,
    };
  }
}

function metadataOf(
  raw: Readonly<Record<string, unknown>>,
): Pick<InvalidConfig, 'name' | 'uid' | 'generation'> | undefined {
  const metadata = raw['metadata'];
  if (typeof metadata !== 'object' || metadata === null) return undefined;
  const { name, uid, generation }: { name?: unknown; uid?: unknown; generation?: unknown } = metadata;
  if (typeof name !== 'string' || typeof uid !== 'string') return undefined;
  return { name, uid, generation: typeof generation === 'number' ? generation : 0 };
}
