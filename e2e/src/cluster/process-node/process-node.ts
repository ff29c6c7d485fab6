import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { isConflict, type KubernetesClient, Reflector, resourcePath } from '@shard-controller/shared/kubernetes';
import type { Logger } from '@shard-controller/shared/observability';
import { type Clock, systemClock } from '@shard-controller/shared/runtime';
import { type ImageCatalog, productImages } from './images.ts';
import { HEARTBEAT_MS, leaseObject, nodeObject, nodeStatus } from './node-object.ts';
import { type Pod, podKey, podSchema } from './pod.ts';
import type { PodAddresses } from './pod-addresses.ts';
import type { Peer } from './pod-network.ts';
import { PodRunner } from './pod-runner.ts';

export interface ProcessNodeOptions {
  readonly name: string;
  /** With the credential of `system:node:<name>`. */
  readonly client: KubernetesClient;
  readonly addresses: PodAddresses;
  readonly folder: string;
  readonly logFolder: string;
  readonly logger: Logger;
  /** For example the zone. */
  readonly labels?: Readonly<Record<string, string>>;
  /** Added to the product's images, or instead of one of them. */
  readonly images?: ImageCatalog;
  /** Instead of 80 % of a token's requested life, ms. */
  readonly tokenRenewalMs?: number;
  readonly maxPods?: number;
  readonly clock?: Clock;
}

const PODS = resourcePath({ group: '', version: 'v1', resource: 'pods' });
const LEASES = resourcePath({
  group: 'coordination.k8s.io',
  version: 'v1',
  resource: 'leases',
  namespace: 'kube-node-lease',
});

/**
 * A node that runs the containers of its pods as local processes. For the rest of the cluster it is a kubelet: a Node
 * object, a heartbeat, pod status, graceful termination. Several can live in one process.
 */
export class ProcessNode {
  readonly name: string;
  readonly #options: ProcessNodeOptions;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #runners = new Map<string, PodRunner>();
  readonly #background = new Set<Promise<unknown>>();
  #images: ImageCatalog;
  #life: AbortController | undefined;
  #loops: Promise<unknown> = Promise.resolve();

  constructor(options: ProcessNodeOptions) {
    this.#options = options;
    this.name = options.name;
    this.#clock = options.clock ?? systemClock;
    this.#logger = options.logger;
    this.#images = { ...productImages, ...options.images };
  }

  /** Registers the node and runs its pods. Resolves when the list of its pods was read once. */
  async start(): Promise<void> {
    if (this.#life !== undefined) return;
    const life = new AbortController();
    this.#life = life;
    mkdirSync(this.#options.folder, { recursive: true });
    await this.#register();
    const reflector = this.#reflector();
    this.#loops = Promise.all([reflector.run(life.signal), this.#heartbeat(life.signal)]);
    await reflector.synced;
  }

  /** Ends all pods' processes and the node's own work; the objects stay as they are. */
  async stop(): Promise<void> {
    await this.#silence();
    await Promise.all([...this.#runners.values()].map((runner) => runner.dispose()));
    this.#runners.clear();
    await Promise.allSettled(this.#background);
  }

  /**
   * The machine is gone: all processes die at once, no heartbeat, no status, nothing is restarted, deletions are not
   * answered. The rest of the cluster has to find out.
   *
   * @param silent peers see no closed connections either, as when the power fails
   */
  async lose({ silent = false }: { readonly silent?: boolean } = {}): Promise<void> {
    const runners = [...this.#runners.values()];
    if (silent) await Promise.all(runners.map((runner) => runner.cut('everything')));
    await Promise.all([this.#silence(), ...runners.map((runner) => runner.lose())]);
  }

  /** The machine is back: registers again, starts the pods that are still bound to it. */
  async recover(): Promise<void> {
    await this.stop();
    await this.start();
  }

  get lost(): boolean {
    return this.#life === undefined;
  }

  get pods(): readonly Pod[] {
    return [...this.#runners.values()].map((runner) => runner.pod);
  }

  hasPod(namespace: string, name: string): boolean {
    return this.pods.some((pod) => pod.metadata.namespace === namespace && pod.metadata.name === name);
  }

  podIp(pod: string): string {
    return this.#find(pod).ip;
  }

  /** Processes of a pod, its containers' children included. */
  processesOf(pod: string): readonly number[] {
    return this.#find(pod).processes();
  }

  /**
   * SIGKILL to all processes of a pod at once; nothing is restarted here.
   *
   * @param pod `name` or `namespace/name`
   * @param report tell the API server; by default nothing is said, as when the machine is gone
   */
  async killPod(pod: string, { report = false }: { readonly report?: boolean } = {}): Promise<void> {
    await this.#find(pod).killAll(report);
  }

  /** SIGKILL to one container; it is restarted as the pod's policy says. */
  killContainer(pod: string, container: string): void {
    this.#find(pod).killContainer(container);
  }

  /** SIGSTOP to all processes: connections are still accepted by the kernel, nothing answers. */
  async freezePod(pod: string): Promise<void> {
    await this.#find(pod).freeze();
  }

  thawPod(pod: string): void {
    this.#find(pod).thaw();
  }

  /** Packets to and from the peer vanish, silently. */
  async cutPod(pod: string, peer: Peer): Promise<void> {
    await this.#find(pod).cut(peer);
  }

  async healPod(pod: string, peer: Peer): Promise<void> {
    await this.#find(pod).heal(peer);
  }

  /** Renews the ServiceAccount token of a pod now. */
  async renewTokens(pod: string): Promise<void> {
    await this.#find(pod).renewTokens();
  }

  /** What an image means from now on; running containers keep what they have until their restart. */
  setImages(images: ImageCatalog): void {
    this.#images = { ...this.#images, ...images };
  }

  async #silence(): Promise<void> {
    this.#life?.abort();
    this.#life = undefined;
    await this.#loops;
  }

  #find(wanted: string): PodRunner {
    const found = [...this.#runners.values()].find(({ pod }) => pod.metadata.name === wanted || podKey(pod) === wanted);
    if (found !== undefined) return found;
    const known = this.pods.map(podKey).join(', ') || 'none';
    throw new Error(`Node ${this.name} runs no pod ${wanted}; it runs: ${known}.`);
  }

  async #register(): Promise<void> {
    const { client, labels = {} } = this.#options;
    const path = resourcePath({ group: '', version: 'v1', resource: 'nodes' });
    try {
      await client.create(path, nodeObject(this.name, labels));
    } catch (error) {
      if (!isConflict(error)) throw error;
    }
    await this.#postStatus();
    await this.#renewLease();
  }

  async #postStatus(): Promise<void> {
    const { client, maxPods = 110 } = this.#options;
    const path = resourcePath({ group: '', version: 'v1', resource: 'nodes', name: this.name, subresource: 'status' });
    const status = nodeStatus(this.name, maxPods, this.#clock.now());
    await client.patch(path, { status }, { contentType: 'application/strategic-merge-patch+json' });
  }

  async #renewLease(): Promise<void> {
    const { client } = this.#options;
    const lease = leaseObject(this.name, this.#clock.now());
    const path = `${LEASES}/${this.name}`;
    if ((await client.find(path)) === undefined) await client.create(LEASES, lease);
    else await client.patch(path, { spec: lease['spec'] });
  }

  /** After a stall the lease alone does not make the node Ready again: the status must be written too. */
  async #heartbeat(signal: AbortSignal): Promise<void> {
    const path = resourcePath({ group: '', version: 'v1', resource: 'nodes', name: this.name });
    while (!signal.aborted) {
      await this.#clock.sleep(HEARTBEAT_MS, signal);
      if (signal.aborted) return;
      try {
        await this.#renewLease();
        const node = await this.#options.client.find<{
          readonly status?: { readonly conditions?: readonly { readonly type: string; readonly status: string }[] };
        }>(path);
        const ready = node?.status?.conditions?.find((condition) => condition.type === 'Ready')?.status === 'True';
        if (node === undefined) await this.#register();
        else if (!ready && !signal.aborted) await this.#postStatus();
      } catch (error) {
        this.#logger.warn({ err: error }, 'heartbeat of the node failed');
      }
    }
  }

  #reflector(): Reflector<Pod> {
    return new Reflector<Pod>({
      client: this.#options.client,
      path: PODS,
      query: { fieldSelector: `spec.nodeName=${this.name}` },
      parse: (raw) => {
        const parsed = podSchema.safeParse(raw);
        if (parsed.success) return { ok: true, value: parsed.data };
        return { ok: false, problems: parsed.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`) };
      },
      handler: {
        replace: (pods) => {
          const present = new Set(pods.map((pod) => pod.metadata.uid));
          for (const [uid, runner] of this.#runners) if (!present.has(uid)) this.#drop(uid, runner);
          for (const pod of pods) this.#observe(pod);
        },
        upsert: (pod) => this.#observe(pod),
        remove: (pod) => {
          const runner = this.#runners.get(pod.metadata.uid);
          if (runner !== undefined) this.#drop(pod.metadata.uid, runner);
        },
        invalid: (raw, problems) => this.#logger.warn({ pod: raw['metadata'], problems }, 'pod cannot be run here'),
      },
      logger: this.#logger,
      clock: this.#clock,
      maxBackoffMs: 2_000,
    });
  }

  #observe(pod: Pod): void {
    const { uid } = pod.metadata;
    let runner = this.#runners.get(uid);
    if (runner === undefined) {
      const phase = pod.status?.phase;
      if (phase === 'Succeeded' || phase === 'Failed') return;
      runner = this.#runner(pod);
      this.#runners.set(uid, runner);
      if (pod.metadata.deletionTimestamp === undefined) runner.start();
    } else {
      runner.observe(pod);
    }
    if (pod.metadata.deletionTimestamp !== undefined) this.#terminate(uid, runner);
  }

  #terminate(uid: string, runner: PodRunner): void {
    this.#inBackground(runner.terminate().then(() => void this.#runners.delete(uid)));
  }

  /** The object is gone without us: it was force-deleted, or it went between two of our reads. */
  #drop(uid: string, runner: PodRunner): void {
    this.#runners.delete(uid);
    this.#inBackground(runner.dispose());
  }

  #inBackground(work: Promise<unknown>): void {
    const settled = work.catch((error: unknown) => this.#logger.error({ err: error }, 'work on a pod failed'));
    this.#background.add(settled);
    void settled.finally(() => this.#background.delete(settled));
  }

  #runner(pod: Pod): PodRunner {
    const { addresses, client, folder, logFolder, tokenRenewalMs } = this.#options;
    const { name } = pod.metadata;
    const server = new URL(client.server);
    return new PodRunner({
      pod,
      nodeName: this.name,
      address: addresses.take(),
      folder: join(folder, pod.metadata.uid),
      logFolder,
      client,
      images: this.#images,
      clusterEnv: { KUBERNETES_SERVICE_HOST: server.hostname, KUBERNETES_SERVICE_PORT: server.port || '443' },
      tokenRenewalMs,
      logger: this.#logger.child({ pod: name }),
      clock: this.#clock,
    });
  }
}
