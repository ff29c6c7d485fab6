import { isNotFound, KubernetesError, type KubernetesObject, resourcePath } from '@shard-controller/shared/kubernetes';
import { createLogger } from '@shard-controller/shared/observability';
import { z } from 'zod';
import { type Cluster, startCluster } from '../cluster/index.ts';
import { install } from '../install/index.ts';
import { Churn, CUSTOM_GROUP, KINDS, Workload } from '../workload/index.ts';
import { orAborted } from './or-aborted.ts';
import { type Role, roleOf } from './process-usage.ts';
import type { Settings } from './settings.ts';

export const NAMESPACE = 'monitoring';
/** Where the objects live whose changes are timed. */
export const STAMPS_NAMESPACE = 'bench-stamps';
export const STAMPS: readonly string[] = Array.from({ length: 12 }, (_, i) => `stamp-${i}`);
/** Not scheduled to: what is measured against runs here, apart from what is measured. */
export const REFERENCE_NODE = 'process-node-7';

const FIELD_MANAGER = 'bench';
const FAKE_NODES = 50;
const NAMESPACES = 20;

const podSchema = z.looseObject({
  metadata: z.looseObject({ name: z.string(), uid: z.string() }),
  status: z
    .looseObject({
      podIP: z.string().optional(),
      conditions: z.array(z.looseObject({ type: z.string(), status: z.string() })).default([]),
    })
    .prefault({}),
});

/** A pod of the bench's namespace. */
export interface BenchPod {
  readonly name: string;
  readonly uid: string;
  readonly ip: string | undefined;
  readonly ready: boolean;
}

/** A measured process: its pod, and what it is there. */
export interface BenchProcess {
  readonly pod: string;
  readonly role: Role;
  readonly pid: number;
}

export type Say = (text: string) => void;

/** Cluster, objects and churn that all arms share. */
export class Stage {
  readonly cluster: Cluster;
  readonly workload: Workload;
  readonly churn: Churn;
  readonly say: Say;
  readonly #ending = new AbortController();
  readonly #churning: Promise<void>;

  private constructor(cluster: Cluster, workload: Workload, churn: Churn, say: Say) {
    this.cluster = cluster;
    this.workload = workload;
    this.churn = churn;
    this.say = say;
    this.#churning = churn.run(this.#ending.signal);
  }

  /** Starts the cluster and makes the objects. On failure nothing is left behind. */
  static async start(settings: Settings, say: Say, signal: AbortSignal): Promise<Stage> {
    const cluster = await startCluster({ logger: createLogger({ name: 'cluster', level: 'error' }) });
    try {
      return await orAborted(Stage.#fill(cluster, settings, say), signal);
    } catch (error) {
      await cluster.stop();
      throw error;
    }
  }

  static async #fill(cluster: Cluster, settings: Settings, say: Say): Promise<Stage> {
    await addNodes(cluster);
    const workload = new Workload({
      client: cluster.admin,
      seed: settings.seed,
      pods: podsFor(settings.objects),
      nodes: FAKE_NODES,
      namespaces: NAMESPACES,
    });
    await workload.define();
    await install(cluster.admin, {
      namespace: NAMESPACE,
      nats: cluster.nats,
      customResources: [{ group: CUSTOM_GROUP, resources: ['widgets'] }],
    });
    await workload.populate();
    await running(cluster, settings.objects);
    const churn = new Churn(workload, settings.churn);
    await churn.pause();
    const stage = new Stage(cluster, workload, churn, say);
    await stage.#makeStamps();
    return stage;
  }

  async apply(object: KubernetesObject & Readonly<Record<string, unknown>>): Promise<void> {
    await this.cluster.admin.apply({ object, fieldManager: FIELD_MANAGER, force: true });
  }

  async pods(selector: string): Promise<readonly BenchPod[]> {
    const path = resourcePath({ group: '', version: 'v1', resource: 'pods', namespace: NAMESPACE });
    const list = await this.cluster.admin.list(path, { query: { labelSelector: selector } });
    return list.items.map((item) => {
      const { metadata, status } = podSchema.parse(item);
      const ready = status.conditions.some(({ type, status: value }) => type === 'Ready' && value === 'True');
      return { name: metadata.name, uid: metadata.uid, ip: status.podIP, ready };
    });
  }

  /** The measured processes of these pods that run now. */
  processes(pods: readonly BenchPod[]): readonly BenchProcess[] {
    return pods.flatMap(({ name }) => {
      const node = this.cluster.nodeOf(NAMESPACE, name);
      return (node?.processesOf(name) ?? []).flatMap((pid) => {
        const role = roleOf(pid);
        return role === undefined ? [] : [{ pod: name, role, pid }];
      });
    });
  }

  /** Deletes an object with what it owns, and ends its pods at once. */
  async remove(path: string, selector: string): Promise<void> {
    await ignoreMissing(this.cluster.admin.delete(path, { propagationPolicy: 'Background' }));
    const deadline = performance.now() + 60_000;
    for (;;) {
      const pods = await this.pods(selector);
      if (pods.length === 0) return;
      if (performance.now() > deadline) throw new Error(`pods ${selector} did not end within 60 s`);
      for (const { name } of pods) {
        const pod = resourcePath({ group: '', version: 'v1', resource: 'pods', namespace: NAMESPACE, name });
        await ignoreMissing(this.cluster.admin.delete(pod, { gracePeriodSeconds: 0 }));
      }
      await pause(200);
    }
  }

  async stop(): Promise<void> {
    this.#ending.abort();
    await this.#churning;
    await this.cluster.stop();
  }

  async #makeStamps(): Promise<void> {
    await this.apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: STAMPS_NAMESPACE } });
    for (const name of STAMPS) {
      const spec = { limits: [{ type: 'Container', max: { cpu: '1' } }] };
      const metadata = { name, namespace: STAMPS_NAMESPACE };
      await this.apply({ apiVersion: 'v1', kind: 'LimitRange', metadata, spec });
    }
  }
}

export const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Waits until `check` holds; API errors count as "not yet". @throws Error naming what was waited for */
export async function until(what: string, withinMs: number, check: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + withinMs;
  let problem = '';
  for (;;) {
    try {
      if (await check()) return;
    } catch (error) {
      if (!(error instanceof KubernetesError)) throw error;
      problem = `; newest error: ${error.message}`;
    }
    if (performance.now() > deadline) throw new Error(`${what}: not within ${withinMs / 1000} s${problem}`);
    await pause(100);
  }
}

/** Waits until kwok has made all pods of the workload run: each change of theirs would be one of the first arm's start. */
async function running(cluster: Cluster, objects: number): Promise<void> {
  const query = { fieldSelector: 'status.phase!=Running', labelSelector: 'app', limit: 1 };
  const withinMs = 300_000 + objects * 10;
  await until('all pods running', withinMs, async () => {
    const list = await cluster.admin.list('/api/v1/pods', { query });
    if (list.items.length === 0) return true;
    // The API server goes through all pods for one that does not run: asked all the time, it would slow kwok down.
    await pause(2_000);
    return false;
  });
}

async function ignoreMissing(request: Promise<unknown>): Promise<void> {
  try {
    await request;
  } catch (error) {
    if (!isNotFound(error)) throw error;
  }
}

/** Pods of a workload that has `objects` objects in all. */
function podsFor(objects: number): number {
  const others = KINDS.reduce((total, kind) => total + kind.perThousandPods, 0) / 1000;
  return Math.round(objects / (1 + others));
}

/** Six nodes in three zones for the arms and the managers, and the reference's. */
async function addNodes(cluster: Cluster): Promise<void> {
  const names = Array.from({ length: 6 }, (_, i) => `process-node-${i + 1}`);
  await Promise.all(
    names.map((name, i) => cluster.addNode(name, { labels: { 'topology.kubernetes.io/zone': `zone-${i % 3}` } })),
  );
  await cluster.addNode(REFERENCE_NODE);
  await cluster.admin.patch(resourcePath({ group: '', version: 'v1', resource: 'nodes', name: REFERENCE_NODE }), {
    spec: { unschedulable: true },
  });
}
