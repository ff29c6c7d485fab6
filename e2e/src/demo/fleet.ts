import { availableParallelism } from 'node:os';
import { eventSubject } from '@shard-controller/shared/contracts';
import { KubernetesError, resourcePath } from '@shard-controller/shared/kubernetes';
import { connectNats, type NatsLink } from '@shard-controller/shared/nats';
import { createLogger } from '@shard-controller/shared/observability';
import { z } from 'zod';
import { type Cluster, startCluster } from '../cluster/index.ts';
import { grantKinds, install, referenceExporterPod } from '../install/index.ts';
import { VerifierProcess } from '../verifier/index.ts';
import { Churn, CUSTOM_GROUP, CUSTOM_RESOURCE_STATE, LABELS_ALLOWLIST, Workload } from '../workload/index.ts';
import { DecisionLog } from './decision-log.ts';

export interface FleetOptions {
  /** Pods of the workload; the other kinds come in proportion. */
  readonly pods: number;
  /** Changes a second. */
  readonly churn: number;
  readonly seed: number;
  readonly fakeNodes: number;
  readonly shards: number;
  /** 2 for a hot standby of each shard. */
  readonly replicasPerShard?: number;
  /** Whether the API server narrows lists and watches (KEP-5866), where it can; default yes. */
  readonly pushdown?: boolean;
  /** Tells a person what happens. */
  readonly say: (text: string) => void;
}

export const NAMESPACE = 'monitoring';
export const CONFIG = 'demo';
const CUSTOM_RESOURCES = [{ group: CUSTOM_GROUP, resources: ['widgets'] }];
const NAMESPACES = 10;
const REFERENCE_NODE = 'process-node-7';

const statusSchema = z.looseObject({
  observedGeneration: z.int().default(0),
  shards: z.int().default(0),
  readyShards: z.int().default(0),
  desiredShards: z.int().default(0),
  conditions: z
    .array(
      z.looseObject({
        type: z.string(),
        status: z.string(),
        reason: z.string().default(''),
        message: z.string().default(''),
      }),
    )
    .default([]),
});

const configSchema = z.looseObject({
  metadata: z.looseObject({ uid: z.string(), generation: z.int() }),
  status: statusSchema.prefault({}),
});

const podSchema = z.looseObject({
  metadata: z.looseObject({ name: z.string(), uid: z.string(), labels: z.record(z.string(), z.string()).default({}) }),
  spec: z.looseObject({ nodeName: z.string().optional() }),
  status: z.looseObject({ podIP: z.string().optional() }).prefault({}),
});

export type PodView = z.infer<typeof podSchema>;
export type ConfigView = z.infer<typeof configSchema>;

/** Everything that demo and e2e tests look at: cluster, objects, reference, managers, workers, verifier, event log. */
export class Fleet {
  readonly cluster: Cluster;
  readonly workload: Workload;
  readonly churn: Churn;
  readonly verifier: VerifierProcess;
  readonly log: DecisionLog;
  readonly link: NatsLink;
  readonly #ending = new AbortController();
  readonly #background: Promise<void>[];

  private constructor(parts: {
    cluster: Cluster;
    workload: Workload;
    churn: Churn;
    verifier: VerifierProcess;
    log: DecisionLog;
    link: NatsLink;
  }) {
    this.cluster = parts.cluster;
    this.workload = parts.workload;
    this.churn = parts.churn;
    this.verifier = parts.verifier;
    this.log = parts.log;
    this.link = parts.link;
    this.#background = [parts.churn.run(this.#ending.signal), parts.log.run(this.#ending.signal)];
  }

  /** Starts everything and resolves when the first shards serve all objects. On failure nothing is left behind. */
  static async start(options: FleetOptions): Promise<Fleet> {
    const { say } = options;
    const timed = stopwatch(say);
    const logger = createLogger({ name: 'cluster', level: 'error' });
    const cluster = await startCluster({ logger, shardedListAndWatch: options.pushdown ?? true });
    const undo: (() => Promise<unknown>)[] = [() => cluster.stop()];
    try {
      timed('control plane: etcd, kube-apiserver, kube-controller-manager, kube-scheduler, kwok, nats-server');
      await addProcessNodes(cluster);
      const workload = new Workload({
        client: cluster.admin,
        seed: options.seed,
        pods: options.pods,
        nodes: options.fakeNodes,
        namespaces: NAMESPACES,
        onProgress: progress(say),
      });
      await workload.define();
      await install(cluster.admin, {
        namespace: NAMESPACE,
        nats: cluster.nats,
        customResources: CUSTOM_RESOURCES,
      });
      timed('CustomResourceDefinitions, RBAC, two managers');
      await workload.populate();
      timed(`${workload.items.length} objects on ${options.fakeNodes} fake nodes, seed ${options.seed}`);
      await addReferenceNode(cluster);
      const referenceUrl = await startReference(cluster);
      timed('the reference: one unsharded kube-state-metrics');
      const config = await createConfig(cluster, options);
      const link = await connectNats({
        servers: [cluster.nats.url],
        name: 'demo',
        auth: { kind: 'nkey', seedFile: cluster.nats.inspectorFile },
        tls: { caFile: cluster.nats.caFile },
        logger: createLogger({ name: 'demo', level: 'error' }),
      });
      undo.unshift(() => link.close());
      const log = new DecisionLog(link, eventSubject(NAMESPACE, CONFIG, config.metadata.uid));
      const churn = new Churn(workload, options.churn);
      await churn.pause();
      const verifier = verifierOf(cluster, referenceUrl);
      undo.unshift(() => verifier.stop());
      const fleet = new Fleet({ cluster, workload, churn, verifier, log, link });
      undo.unshift(() => fleet.#end());
      await fleet.converged(options.shards, 120_000);
      timed(`${options.shards} shards ready`);
      const equal = await verifier.compare(60_000);
      if (!equal.equal) throw new Error(`the shards do not show what the reference shows: ${equal.difference}`);
      timed(`union of the shards equals the reference, ${equal.lines} series`);
      return fleet;
    } catch (error) {
      for (const step of undo) await step().catch(() => undefined);
      throw error;
    }
  }

  /**
   * Does `work` while a verifier of its own compares the fleet with another kube-state-metrics, which exports what these
   * options say: no more than the fleet shows at any time of it.
   *
   * @param scrapeTimeoutMs what the verifier announces and keeps, where it is not its own usual.
   */
  async against<T>(
    options: Pick<ReferenceOptions, 'extraArgs' | 'customResourceState'>,
    work: (verifier: VerifierProcess) => Promise<T>,
    scrapeTimeoutMs?: number,
  ): Promise<T> {
    const name = 'another-reference';
    const path = resourcePath({ group: '', version: 'v1', resource: 'pods', namespace: NAMESPACE, name });
    try {
      const url = await startReference(this.cluster, { ...options, name });
      const verifier = verifierOf(this.cluster, url, scrapeTimeoutMs);
      try {
        return await work(verifier);
      } finally {
        await verifier.stop();
      }
    } finally {
      await this.cluster.admin.delete(path);
      while ((await this.cluster.admin.find(path)) !== undefined) await pause(100);
    }
  }

  async config(): Promise<ConfigView> {
    return configSchema.parse(await this.cluster.admin.get(configPath()));
  }

  /** Asks for `shards` shards. */
  async setShards(shards: number): Promise<void> {
    await this.patchConfig({ spec: { shards } });
  }

  async patchConfig(patch: unknown): Promise<void> {
    await this.cluster.admin.patch(configPath(), patch, { contentType: 'application/merge-patch+json' });
  }

  /** Lets the workers read what is exported, less the resource `taken`. */
  async grant(taken?: string): Promise<void> {
    await grantKinds(this.cluster.admin, { namespace: NAMESPACE, customResources: CUSTOM_RESOURCES }, taken);
  }

  /** Whether the manager reports `shards` ready shards for the newest spec, no migration is open and slots are balanced. */
  async isConverged(shards: number): Promise<boolean> {
    try {
      const { metadata, status } = await this.config();
      const is = (type: string, value: string): boolean =>
        status.conditions.some((condition) => condition.type === type && condition.status === value);
      return (
        status.observedGeneration === metadata.generation &&
        status.shards === shards &&
        status.readyShards === shards &&
        is('Ready', 'True') &&
        is('Progressing', 'False') &&
        this.log.open.length === 0 &&
        isBalanced(this.log.owners, shards)
      );
    } catch (error) {
      if (error instanceof KubernetesError) return false;
      throw error;
    }
  }

  /** @throws Error with the newest status when it is not so within `withinMs`. */
  async converged(shards: number, withinMs: number): Promise<void> {
    const deadline = performance.now() + withinMs;
    while (!(await this.isConverged(shards))) {
      if (performance.now() > deadline) {
        const config = await this.config().catch((error: unknown) => ({ status: String(error) }));
        throw new Error(
          `not at ${shards} ready shards within ${withinMs / 1000} s; status: ${JSON.stringify(config.status)}; ` +
            `open migrations: ${JSON.stringify(this.log.open)}; logs: ${this.cluster.logFolder}`,
        );
      }
      await pause(100);
    }
  }

  async pods(selector: string): Promise<readonly PodView[]> {
    const path = resourcePath({ group: '', version: 'v1', resource: 'pods', namespace: NAMESPACE });
    const list = await this.cluster.admin.list(path, { query: { labelSelector: selector } });
    return list.items.map((item) => podSchema.parse(item));
  }

  workers(): Promise<readonly PodView[]> {
    return this.pods(`shard.io/config=${CONFIG}`);
  }

  managers(): Promise<readonly PodView[]> {
    return this.pods('app.kubernetes.io/component=manager');
  }

  /** The manager that holds the Lease, or undefined while none does. */
  async leader(): Promise<PodView | undefined> {
    const path = resourcePath({
      group: 'coordination.k8s.io',
      version: 'v1',
      resource: 'leases',
      namespace: NAMESPACE,
      name: 'shard-controller-manager',
    });
    const lease = z
      .looseObject({ spec: z.looseObject({ holderIdentity: z.string().nullish() }) })
      .parse(await this.cluster.admin.get(path));
    const holder = lease.spec.holderIdentity ?? '';
    return (await this.managers()).find((pod) => holder.startsWith(pod.metadata.name));
  }

  /** Ends everything in order. */
  async stop(): Promise<void> {
    await this.#end();
    await this.verifier.stop();
    await this.link.close();
    await this.cluster.stop();
  }

  async #end(): Promise<void> {
    this.#ending.abort();
    await Promise.all(this.#background);
  }
}

export const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

function configPath(): string {
  return resourcePath({
    group: 'shard.io',
    version: 'v1',
    resource: 'shardconfigs',
    namespace: NAMESPACE,
    name: CONFIG,
  });
}

/** Whether `shards` shards own all slots, with counts that differ by at most one. */
function isBalanced(owners: readonly string[], shards: number): boolean {
  const counts = [...new Set(owners)].map((shard) => owners.filter((owner) => owner === shard).length);
  return counts.length === shards && Math.max(...counts) - Math.min(...counts) <= 1;
}

/** Says how long each step of the start took. */
function stopwatch(say: (text: string) => void): (what: string) => void {
  let last = performance.now();
  return (what) => {
    const now = performance.now();
    say(`${((now - last) / 1000).toFixed(1).padStart(6)} s  ${what}`);
    last = now;
  };
}

function progress(say: (text: string) => void): (made: number, total: number) => void {
  let said = performance.now();
  return (made, total) => {
    if (performance.now() - said < 5000 || made === total) return;
    said = performance.now();
    say(`          ${made} of ${total} objects created`);
  };
}

/** Six nodes in three zones, for four workers, the extra one of a rolling update, and two managers. */
async function addProcessNodes(cluster: Cluster): Promise<void> {
  const names = Array.from({ length: 6 }, (_, i) => `process-node-${i + 1}`);
  await Promise.all(
    names.map((name, i) => cluster.addNode(name, { labels: { 'topology.kubernetes.io/zone': `zone-${i % 3}` } })),
  );
}

/** On a node of its own, which no test loses and nothing is scheduled to. */
async function addReferenceNode(cluster: Cluster): Promise<void> {
  await cluster.addNode(REFERENCE_NODE);
  await cluster.admin.patch(resourcePath({ group: '', version: 'v1', resource: 'nodes', name: REFERENCE_NODE }), {
    spec: { unschedulable: true },
  });
}

function verifierOf(cluster: Cluster, referenceUrl: string, scrapeTimeoutMs?: number): VerifierProcess {
  return new VerifierProcess({
    server: cluster.apiServerUrl,
    ca: cluster.caPem,
    token: cluster.adminToken,
    namespace: NAMESPACE,
    service: `${CONFIG}-metrics`,
    portName: 'http-metrics',
    referenceUrl,
    // A quarter of the machine, as an observer that is not to change what it looks at.
    cores: availableParallelism() / 4,
    scrapeTimeoutMs,
  });
}

type ReferenceOptions = Partial<Parameters<typeof referenceExporterPod>[0]>;

async function startReference(cluster: Cluster, over: ReferenceOptions = {}): Promise<string> {
  const pod = referenceExporterPod({
    namespace: NAMESPACE,
    labelsAllowlist: LABELS_ALLOWLIST,
    customResourceState: CUSTOM_RESOURCE_STATE,
    nodeName: REFERENCE_NODE,
    ...over,
  });
  await cluster.admin.apply({ object: pod, fieldManager: 'demo' });
  const path = resourcePath({
    group: '',
    version: 'v1',
    resource: 'pods',
    namespace: NAMESPACE,
    name: pod.metadata.name,
  });
  const deadline = performance.now() + 60_000;
  while (performance.now() < deadline) {
    const { status } = podSchema.parse(await cluster.admin.get(path));
    if (status.podIP !== undefined) {
      const url = `http://${status.podIP}:8080/metrics`;
      const answer = await fetch(url).catch(() => undefined);
      await answer?.body?.cancel();
      if (answer?.ok) return url;
    }
    await pause(100);
  }
  throw new Error(`the reference kube-state-metrics did not come up within 60 s: see ${cluster.logFolder}`);
}

async function createConfig(cluster: Cluster, options: FleetOptions): Promise<ConfigView> {
  const object = {
    apiVersion: 'shard.io/v1',
    kind: 'ShardConfig',
    metadata: { name: CONFIG, namespace: NAMESPACE },
    spec: {
      mode: 'Manual',
      shards: options.shards,
      minShards: 1,
      maxShards: 4,
      replicasPerShard: options.replicasPerShard ?? 1,
      exporter: { labelsAllowlist: LABELS_ALLOWLIST, customResourceState: CUSTOM_RESOURCE_STATE },
    },
  };
  return configSchema.parse(await cluster.admin.apply({ object, fieldManager: 'demo' }));
}
