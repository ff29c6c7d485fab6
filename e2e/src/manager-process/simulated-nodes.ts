import { setTimeout as sleep } from 'node:timers/promises';
import { assignmentOf, parseShardInstance } from '@shard-controller/shared/api';
import type { Assignment } from '@shard-controller/shared/contracts';
import { isConflict, isNotFound, type KubernetesClient, resourcePath } from '@shard-controller/shared/kubernetes';
import type { Logger } from '@shard-controller/shared/observability';
import { z } from 'zod';
import { SimulatedWorker, type WorkerFault } from './simulated-worker.ts';

const statefulSetSchema = z.looseObject({
  metadata: z.looseObject({ name: z.string(), generation: z.int() }),
  spec: z.looseObject({
    replicas: z.int(),
    ordinals: z.looseObject({ start: z.int() }).optional(),
    template: z.looseObject({
      metadata: z.looseObject({ labels: z.record(z.string(), z.string()) }),
      spec: z.looseObject({
        containers: z.array(
          z.looseObject({
            name: z.string(),
            env: z.array(z.looseObject({ name: z.string(), value: z.string().optional() })).optional(),
          }),
        ),
      }),
    }),
  }),
  status: z.looseObject({ observedGeneration: z.int().optional() }).optional(),
});

const podSchema = z.looseObject({
  metadata: z.looseObject({
    name: z.string(),
    uid: z.string(),
    deletionTimestamp: z.string().optional(),
    labels: z.record(z.string(), z.string()),
  }),
});

type StatefulSet = z.infer<typeof statefulSetSchema>;
type Pod = z.infer<typeof podSchema>;

const GRACE_MS = 15_000;
const ROUND_MS = 100;

export interface SimulatedNodesOptions {
  readonly client: KubernetesClient;
  readonly namespace: string;
  readonly natsUrl: string;
  readonly logger: Logger;
  readonly warmMs?: number;
}

/**
 * The StatefulSet controller, the scheduler and the kubelets in one, as far as worker pods need them: real objects in
 * the real API server, simulated processes.
 */
export class SimulatedNodes {
  readonly #options: SimulatedNodesOptions;
  readonly #workers = new Map<string, SimulatedWorker>();
  readonly #stop = new AbortController();
  readonly #lost = new Set<string>();
  readonly #refused = new Set<string>();
  #running: Promise<void> = Promise.resolve();
  /** Time for which no worker exposed some slot that had been exposed, ms. */
  #uncoveredMs = 0;
  #uncoveredSince: number | undefined;
  /** `<config>/<slot>`, as in the two below. */
  readonly #everExposed = new Set<string>();
  #slotsMissing: readonly string[] = [];
  /** By pod name. */
  readonly faults = new Map<string, WorkerFault>();
  /** Objects that each worker claims to export. */
  objectsPerWorker: number | undefined;

  constructor(options: SimulatedNodesOptions) {
    this.#options = options;
  }

  start(): void {
    this.#running = this.#loop();
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#running;
    await Promise.all([...this.#workers.values()].map((worker) => worker.kill()));
  }

  /** Living workers by pod name. */
  get workers(): ReadonlyMap<string, SimulatedWorker> {
    return new Map([...this.#workers].filter(([, worker]) => worker.alive));
  }

  /** Slots that no worker exposes now, although one once did, as `<config>/<slot>`. */
  get missing(): readonly string[] {
    return this.#slotsMissing;
  }

  /** How long slots were missing since the last call, ms. */
  takeUncoveredMs(): number {
    this.#account();
    const ms = this.#uncoveredMs;
    this.#uncoveredMs = 0;
    return ms;
  }

  /** How many workers of a ShardConfig expose each slot. */
  exposure(config: string, slotCount: number): number[] {
    const times = Array.from({ length: slotCount }, () => 0);
    const workers = [...this.#workers.values()].filter(
      ({ options, serves }) => serves && options.address.config === config,
    );
    for (const { exposed } of workers) for (const slot of exposed) times[slot] = (times[slot] ?? 0) + 1;
    return times;
  }

  /** Everything of this pod dies and stays dead; the API server keeps saying that it is Ready. */
  async loseNode(pod: string): Promise<void> {
    this.#lost.add(pod);
    await this.#workers.get(pod)?.kill();
  }

  /** Pods that cannot be made, as if a quota refused them; none lets all be made. */
  refuse(...pods: readonly string[]): void {
    this.#refused.clear();
    for (const pod of pods) this.#refused.add(pod);
  }

  /** The node of this pod is back, and its processes are started again. */
  returnNode(pod: string): void {
    this.#lost.delete(pod);
  }

  /** All worker processes die at once and are started again by their kubelets. */
  async crashAll(): Promise<void> {
    await Promise.all([...this.#workers.values()].map((worker) => worker.kill()));
    this.#workers.clear();
  }

  /** Resets the record of missing slots. */
  forget(): void {
    this.#everExposed.clear();
    this.#account();
    this.#uncoveredMs = 0;
  }

  async #loop(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      try {
        await this.#round();
      } catch (error) {
        this.#options.logger.debug({ err: error }, 'simulated nodes: trying again');
      }
      await sleep(ROUND_MS);
    }
  }

  async #round(): Promise<void> {
    const { client } = this.#options;
    const sets = await client.list<unknown>(this.#path('apps', 'statefulsets'));
    const pods = await client.list<unknown>(this.#path('', 'pods'));
    const present = new Map(pods.items.map((raw) => podSchema.parse(raw)).map((pod) => [pod.metadata.name, pod]));
    const owned = new Set<string>();
    for (const raw of sets.items) {
      const set = statefulSetSchema.parse(raw);
      await this.#observe(set);
      const start = set.spec.ordinals?.start ?? 0;
      for (let ordinal = start; ordinal < start + set.spec.replicas; ordinal += 1) {
        const name = `${set.metadata.name}-${ordinal}`;
        owned.add(name);
        if (!present.has(name) && !this.#refused.has(name)) await this.#create(set, name);
      }
    }
    for (const [name, pod] of present) {
      if (pod.metadata.deletionTimestamp !== undefined) this.#terminate(name);
      else if (!owned.has(name)) await this.#delete(name, GRACE_MS / 1000);
      else this.#run(pod, sets.items);
    }
    for (const [name, worker] of this.#workers) if (!present.has(name)) await worker.kill();
  }

  async #observe({ metadata, status }: StatefulSet): Promise<void> {
    if (status?.observedGeneration === metadata.generation) return;
    const path = this.#path('apps', 'statefulsets', metadata.name, 'status');
    await this.#options.client.patch(path, { status: { observedGeneration: metadata.generation } });
  }

  async #create({ spec: { template } }: StatefulSet, name: string): Promise<void> {
    const pod = {
      metadata: { ...template.metadata, name },
      spec: { ...template.spec, nodeName: `node-of-${name}`, hostname: name },
    };
    try {
      await this.#options.client.create(this.#path('', 'pods'), pod);
    } catch (error) {
      if (!isConflict(error)) throw error;
    }
  }

  #run({ metadata }: Pod, sets: readonly unknown[]): void {
    const { name, labels, uid } = metadata;
    if (this.#lost.has(name) || this.#workers.get(name)?.alive === true) return;
    const config = labels['shard.io/config'];
    const role = labels['shard.io/replica'];
    const replica = role === 'surge' ? 'a' : role;
    if (config === undefined || (replica !== 'a' && replica !== 'b')) return;
    const set = sets.map((raw) => statefulSetSchema.parse(raw)).find((one) => name.startsWith(`${one.metadata.name}-`));
    const worker = new SimulatedWorker({
      address: { namespace: this.#options.namespace, config, shardId: shardOf(name), replica },
      uid: environment(set)['SHARD_CONFIG_UID'] ?? '',
      pod: name,
      node: `node-of-${name}`,
      revision: labels['shard.io/revision'] ?? '',
      natsUrl: this.#options.natsUrl,
      logger: this.#options.logger,
      assignment: () => this.#assignment(`${config}-${shardOf(name)}`),
      warmMs: this.#options.warmMs ?? 80,
      objects: () => this.objectsPerWorker,
      fault: () => this.faults.get(name),
      onExposed: () => this.#account(),
    });
    this.#workers.set(name, worker);
    void worker.start().then(async () => this.#reportReady(name, uid));
  }

  async #assignment(shardInstance: string): Promise<Assignment | undefined> {
    try {
      const raw = await this.#options.client.get<unknown>(this.#path('shard.io', 'shardinstances', shardInstance));
      const parsed = parseShardInstance(raw);
      return parsed.ok ? assignmentOf(parsed.value) : undefined;
    } catch {
      return undefined;
    }
  }

  async #reportReady(name: string, uid: string): Promise<void> {
    const now = new Date().toISOString();
    const status = {
      phase: 'Running',
      conditions: [{ type: 'Ready', status: 'True', lastTransitionTime: now }],
      containerStatuses: ['worker', 'kube-state-metrics'].map((container) => ({
        name: container,
        ready: true,
        restartCount: 0,
        image: container,
        imageID: container,
        state: { running: { startedAt: now } },
      })),
    };
    try {
      await this.#options.client.patch(this.#path('', 'pods', name, 'status'), { metadata: { uid }, status });
    } catch (error) {
      this.#options.logger.debug({ err: error, pod: name }, 'pod status not written');
    }
  }

  #terminate(name: string): void {
    const worker = this.#workers.get(name);
    this.#workers.delete(name);
    if (worker !== undefined) this.#leaving.add(worker);
    void (worker?.drain(GRACE_MS) ?? Promise.resolve()).then(async () => {
      if (worker !== undefined) this.#leaving.delete(worker);
      // Another round may have asked before: only the first one waits for the drain.
      if (worker !== undefined || this.#leaving.size === 0) await this.#delete(name, 0);
    });
  }

  readonly #leaving = new Set<SimulatedWorker>();

  async #delete(name: string, graceSeconds: number): Promise<void> {
    try {
      await this.#options.client.delete(this.#path('', 'pods', name), { gracePeriodSeconds: graceSeconds });
    } catch (error) {
      if (!isNotFound(error)) this.#options.logger.debug({ err: error, pod: name }, 'pod not deleted');
    }
  }

  /** Records slots that no worker exposes. */
  #account(): void {
    const now = performance.now();
    if (this.#uncoveredSince !== undefined) this.#uncoveredMs += now - this.#uncoveredSince;
    const exposed = new Set(
      [...this.#workers.values(), ...this.#leaving]
        .filter(({ serves }) => serves)
        .flatMap(({ exposed: slots, options }) => [...slots].map((slot) => `${options.address.config}/${slot}`)),
    );
    for (const slot of exposed) this.#everExposed.add(slot);
    this.#slotsMissing = [...this.#everExposed].filter((slot) => !exposed.has(slot));
    this.#uncoveredSince = this.#slotsMissing.length > 0 ? now : undefined;
  }

  #path(group: string, resource: string, name?: string, subresource?: string): string {
    return resourcePath({ group, version: 'v1', resource, namespace: this.#options.namespace, name, subresource });
  }
}

const shardOf = (pod: string): string => `shard-${(/-([0-9]+)$/.exec(pod)?.[1] ?? '0').padStart(3, '0')}`;

function environment(set: StatefulSet | undefined): Record<string, string> {
  const worker = set?.spec.template.spec.containers.find(({ name }) => name === 'worker');
  return Object.fromEntries((worker?.env ?? []).map(({ name, value }) => [name, value ?? '']));
}
