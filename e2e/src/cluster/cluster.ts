import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { KubernetesClient, resourcePath, staticEndpoint } from '@shard-controller/shared/kubernetes';
import { createLogger, LOG_LEVELS, type Logger, type LogLevel } from '@shard-controller/shared/observability';
import { waitUntil } from '@shard-controller/shared/testing';
import { exposeOutside, type OutsidePort, requireNamespace, sharedFolder } from '../namespace/index.ts';
import { API_SERVER_PORT, API_SERVER_URL, type ClusterNats, type ControlPlane, controlPlane } from './control-plane.ts';
import { type Credentials, kubeconfig, makeCredentials } from './credentials.ts';
import { kwokRights } from './kwok-rights.ts';
import { sweepLeftOvers } from './leftovers.ts';
import { MetricsFront, type MetricsFrontOptions } from './metrics-front.ts';
import { PodAddresses, ProcessNode, type ProcessNodeOptions } from './process-node/index.ts';

const HARNESS = 'shard-controller-harness';

/** Enough for every test; a credential per node must exist before the API server starts. */
const NODE_NAMES = Array.from({ length: 16 }, (_, index) => `process-node-${index + 1}`);

export interface ClusterOptions {
  /** Feature gate of KEP-5866; default on. */
  readonly shardedListAndWatch?: boolean;
  /** kwok for fake nodes and pods; default on. */
  readonly fakeNodes?: boolean;
  /** Names that {@link Cluster.addNode} may use besides process-node-1 … process-node-16. */
  readonly nodeNames?: readonly string[];
  /** Kept after stop when given; else made in the launcher's folder and removed. */
  readonly dataFolder?: string;
  /** Default: `SHARD_CONTROLLER_LOG_DIR`, else `logs` in the data folder. */
  readonly logFolder?: string;
  readonly nodeMonitorGraceSeconds?: number;
  readonly lostNodeTolerationSeconds?: number;
  readonly logger?: Logger;
}

export type AddNodeOptions = Pick<ProcessNodeOptions, 'labels' | 'images' | 'tokenRenewalMs' | 'maxPods'>;

interface ClusterParts {
  readonly plane: ControlPlane;
  readonly credentials: Credentials;
  readonly folder: string;
  readonly logFolder: string;
  readonly logger: Logger;
  readonly keep: boolean;
}

/**
 * Starts a real control plane in this namespace: etcd, kube-apiserver, kube-controller-manager, kube-scheduler, kwok and
 * nats-server. One at a time per namespace, because addresses and ports are fixed.
 *
 * @throws OutsideNamespaceError, BinaryMissingError, ProcessStartError
 */
export async function startCluster(options: ClusterOptions = {}): Promise<Cluster> {
  requireNamespace();
  const logger = options.logger ?? createLogger({ name: 'cluster', level: logLevel() });
  const swept = await sweepLeftOvers();
  if (swept > 0) logger.warn({ processes: swept }, 'ended what an earlier cluster left');
  const folder = options.dataFolder ?? mkdtempSync(join(sharedFolder(), 'cluster-'));
  mkdirSync(folder, { recursive: true });
  const logFolder = options.logFolder ?? process.env['SHARD_CONTROLLER_LOG_DIR'] ?? join(folder, 'logs');
  const credentials = makeCredentials(join(folder, 'credentials'), [...NODE_NAMES, ...(options.nodeNames ?? [])]);
  const plane = controlPlane({
    folder,
    logFolder,
    credentials,
    shardedListAndWatch: options.shardedListAndWatch ?? true,
    fakeNodes: options.fakeNodes ?? true,
    nodeMonitorGraceSeconds: options.nodeMonitorGraceSeconds,
    lostNodeTolerationSeconds: options.lostNodeTolerationSeconds,
  });
  let cluster: Cluster | undefined;
  try {
    plane.nats.launch();
    await plane.etcd.start();
    await plane.apiServer.start();
    const keep = options.dataFolder !== undefined;
    cluster = new Cluster({ plane, credentials, folder, logFolder, logger, keep });
    for (const object of kwokRights) await cluster.admin.apply({ object, fieldManager: HARNESS });
    const others = [plane.controllerManager, plane.scheduler, plane.kwok].filter((part) => part !== undefined);
    for (const part of others) part.launch();
    await Promise.all([plane.nats, ...others].map((part) => part.waitReady()));
    await cluster.waitForServiceAccount('default', 'default');
    return cluster;
  } catch (error) {
    await (cluster?.stop() ?? stopPlane(plane));
    throw error;
  }
}

/** A running control plane with its process nodes, and the faults that can be done to it. */
export class Cluster {
  /** Reached by everything inside the namespace. */
  readonly apiServerUrl = API_SERVER_URL;
  readonly nats: ClusterNats;
  readonly dataFolder: string;
  /** A file per process and one per container. */
  readonly logFolder: string;
  /** The certificate authority of the API server, PEM, and its file. */
  readonly caPem: string;
  readonly caFile: string;
  readonly adminToken: string;
  /** As a member of system:masters. */
  readonly admin: KubernetesClient;
  readonly #parts: ClusterParts;
  readonly #nodes = new Map<string, ProcessNode>();
  readonly #addresses = new PodAddresses();
  readonly #clients: KubernetesClient[] = [];
  readonly #outside: OutsidePort[] = [];
  readonly #fronts: MetricsFront[] = [];

  constructor(parts: ClusterParts) {
    this.#parts = parts;
    this.dataFolder = parts.folder;
    this.logFolder = parts.logFolder;
    this.nats = parts.plane.natsAccess;
    this.caFile = parts.plane.caFile;
    this.caPem = readFileSync(parts.plane.caFile, 'utf8');
    this.adminToken = parts.credentials.admin.token;
    this.admin = this.clientFor(this.adminToken, HARNESS);
  }

  /** A client with any bearer token; closed with the cluster. */
  clientFor(token: string, userAgent = HARNESS): KubernetesClient {
    const endpoint = staticEndpoint({ server: this.apiServerUrl, ca: this.caPem, token });
    const client = new KubernetesClient({ endpoint, logger: this.#parts.logger, userAgent });
    this.#clients.push(client);
    return client;
  }

  /** A short-lived token of a ServiceAccount, as `kubectl create token` makes it. */
  async serviceAccountToken(namespace: string, name: string, expirationSeconds = 3600): Promise<string> {
    const path = resourcePath({
      group: '',
      version: 'v1',
      resource: 'serviceaccounts',
      namespace,
      name,
      subresource: 'token',
    });
    const answer = await this.admin.create<{ readonly status: { readonly token: string } }>(path, {
      apiVersion: 'authentication.k8s.io/v1',
      kind: 'TokenRequest',
      spec: { expirationSeconds },
    });
    return answer.status.token;
  }

  /** Pods are refused in a namespace until its ServiceAccount exists. */
  async waitForServiceAccount(namespace: string, name: string): Promise<void> {
    const path = resourcePath({ group: '', version: 'v1', resource: 'serviceaccounts', namespace, name });
    const log = join(this.logFolder, 'kube-controller-manager.log');
    const what = `ServiceAccount ${namespace}/${name} is there (see ${log})`;
    await waitUntil(what, async () => (await this.admin.find(path)) !== undefined);
  }

  /** Starts a node that runs pods as local processes; resolves when it is registered and watches its pods. */
  async addNode(name: string, options: AddNodeOptions = {}): Promise<ProcessNode> {
    const user = this.#parts.credentials.nodes.get(name);
    if (user === undefined) throw new Error(`No credential for node ${name}: name it in ClusterOptions.nodeNames.`);
    const node = new ProcessNode({
      ...options,
      name,
      client: this.clientFor(user.token, `process-node/${name}`),
      addresses: this.#addresses,
      folder: join(this.dataFolder, 'nodes', name),
      logFolder: join(this.logFolder, 'pods'),
      logger: this.#parts.logger.child({ node: name }),
    });
    this.#nodes.set(name, node);
    await node.start();
    return node;
  }

  get nodes(): readonly ProcessNode[] {
    return [...this.#nodes.values()];
  }

  /** The node that runs a pod now. */
  nodeOf(namespace: string, pod: string): ProcessNode | undefined {
    return this.nodes.find((node) => node.hasPod(namespace, pod));
  }

  /** The processes, for faults that have no method here. */
  get controlPlane(): ControlPlane {
    return this.#parts.plane;
  }

  /** SIGKILL; it stays down until {@link startApiServer}. */
  async killApiServer(): Promise<void> {
    await this.#parts.plane.apiServer.kill();
  }

  async startApiServer(): Promise<void> {
    await this.#parts.plane.apiServer.start();
  }

  /** An ordered restart (about 1 s to stop), or one after SIGKILL. Resolves when it is ready again. */
  async restartApiServer(how: 'ordered' | 'killed' = 'ordered'): Promise<void> {
    const { apiServer } = this.#parts.plane;
    await (how === 'killed' ? apiServer.kill() : apiServer.stop());
    await apiServer.start();
  }

  async stopNats(): Promise<void> {
    await this.#parts.plane.nats.stop();
  }

  async killNats(): Promise<void> {
    await this.#parts.plane.nats.kill();
  }

  /** With the same store: everything acknowledged before is there. */
  async startNats(): Promise<void> {
    await this.#parts.plane.nats.start();
  }

  /** It keeps its connections and answers nothing. */
  async pauseNats(): Promise<void> {
    await this.#parts.plane.nats.pause();
  }

  resumeNats(): void {
    this.#parts.plane.nats.resume();
  }

  /** Makes the API server reachable on the user's 127.0.0.1 and writes a kubeconfig for it. */
  async writeOutsideKubeconfig(file: string): Promise<{ readonly server: string }> {
    const { port } = await this.expose(() => ({ host: new URL(this.apiServerUrl).hostname, port: API_SERVER_PORT }));
    const server = `https://127.0.0.1:${port}`;
    // The API server's certificate does not name 127.0.0.1, but it does name `kubernetes`.
    const text = kubeconfig({ server, caPem: this.caPem, token: this.adminToken, tlsServerName: 'kubernetes' });
    writeFileSync(file, text, { mode: 0o600 });
    return { server };
  }

  /** Makes an address of the namespace reachable on the user's 127.0.0.1 until the cluster stops. */
  async expose(target: () => { host: string; port: number }, wanted: { port?: number } = {}): Promise<OutsidePort> {
    const outside = await exposeOutside(target, wanted);
    this.#outside.push(outside);
    return outside;
  }

  /** One URL on the user's 127.0.0.1 that shows `/metrics` of the pods with these labels; see {@link MetricsFront}. */
  async exposeMetrics(options: Omit<MetricsFrontOptions, 'client'>): Promise<{ readonly url: string }> {
    const front = new MetricsFront({ ...options, client: this.admin });
    this.#fronts.push(front);
    const address = await front.start();
    const { port } = await this.expose(() => address);
    return { url: `http://127.0.0.1:${port}` };
  }

  /** Ends everything in order: pods, what acts on the API, the API server, its store. */
  async stop(): Promise<void> {
    await Promise.all(this.#outside.splice(0).map((port) => port.close()));
    await Promise.all(this.#fronts.splice(0).map((front) => front.stop()));
    await Promise.all(this.nodes.map((node) => node.stop()));
    await Promise.all(this.#clients.map((client) => client.close()));
    await stopPlane(this.#parts.plane);
    if (!this.#parts.keep) rmSync(this.dataFolder, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 });
  }
}

function logLevel(): LogLevel {
  return LOG_LEVELS.find((level) => level === process.env['LOG_LEVEL']) ?? 'warn';
}

async function stopPlane(plane: ControlPlane): Promise<void> {
  await Promise.all([plane.kwok?.stop(), plane.scheduler.stop(), plane.controllerManager.stop()]);
  await plane.apiServer.stop();
  await Promise.all([plane.etcd.stop(), plane.nats.stop()]);
}
