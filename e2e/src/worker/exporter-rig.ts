import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { KubernetesClient, staticEndpoint } from '@shard-controller/shared/kubernetes';
import { createLogger, type Logger } from '@shard-controller/shared/observability';
import { systemClock } from '@shard-controller/shared/runtime';
import {
  createDataPlane,
  type DataPlane,
  type DataPlaneFault,
  type SlotAssignment,
} from '@shard-controller/worker/data-plane';
import { ManagedProcess } from '../cluster/managed-process.ts';
import { resolveBinary, resolveSystemTool } from '../cluster/binaries.ts';
import { freePorts } from '../cluster/free-ports.ts';
import type { StandaloneApiServer } from '../cluster/standalone-api-server.ts';
import { CUSTOM_GROUP, CUSTOM_RESOURCE_STATE, LABELS_ALLOWLIST } from '../workload/index.ts';

/** Where an API server is, and how to get in. */
export type ApiAccess = Pick<StandaloneApiServer, 'server' | 'ca' | 'adminToken'>;

/** What the exporters of the workload export. */
export const WORKLOAD_FLAGS: readonly string[] = [
  `--metric-labels-allowlist=${LABELS_ALLOWLIST.join(',')}`,
  `--custom-resource-state-config=${CUSTOM_RESOURCE_STATE}`,
];

/** A kube-state-metrics of its own, pointed at any API server. */
export class Exporter {
  readonly #process: ManagedProcess;
  readonly #folder: string;
  readonly port: number;

  /** @param flags what it exports; the workload's kinds and labels when absent. */
  static async create(
    name: string,
    apiServer: string,
    kubeconfig?: string,
    flags: readonly string[] = WORKLOAD_FLAGS,
  ): Promise<Exporter> {
    const folder = mkdtempSync(join(tmpdir(), `exporter-${name}-`));
    return new Exporter(name, folder, await freePorts(2), apiServer, kubeconfig, flags);
  }

  private constructor(
    name: string,
    folder: string,
    [port = 0, telemetryPort = 0]: readonly number[],
    apiServer: string,
    kubeconfig: string | undefined,
    flags: readonly string[],
  ) {
    this.port = port;
    this.#folder = folder;
    const access = [];
    if (kubeconfig === undefined) access.push(`--apiserver=${apiServer}`);
    else {
      writeFileSync(join(folder, 'kubeconfig'), kubeconfig);
      access.push(`--kubeconfig=${join(folder, 'kubeconfig')}`);
    }
    this.#process = new ManagedProcess({
      name,
      // The kernel ends it with this process, however this one ends.
      executable: resolveSystemTool('setpriv', 'util-linux'),
      args: [
        '--pdeathsig',
        'KILL',
        resolveBinary('kube-state-metrics'),
        ...access,
        '--host=127.0.0.1',
        `--port=${port}`,
        '--telemetry-host=127.0.0.1',
        `--telemetry-port=${telemetryPort}`,
        ...flags,
      ],
      folder,
      logFile: join(folder, 'exporter.log'),
    });
  }

  start(): void {
    this.#process.launch();
  }

  async kill(): Promise<void> {
    await this.#process.kill();
  }

  /** SIGSTOP: it takes nothing and answers nothing. */
  async pause(): Promise<void> {
    await this.#process.pause();
  }

  resume(): void {
    this.#process.resume();
  }

  get logFile(): string {
    return join(this.#folder, 'exporter.log');
  }

  /** Lines of one scrape, comments included. */
  async exposition(accept = 'text/plain'): Promise<string[]> {
    const response = await fetch(`http://127.0.0.1:${this.port}/metrics`, { headers: { accept } });
    const text = await response.text();
    return text.split('\n').filter((line) => line !== '');
  }

  /** Series of one scrape, without comments. */
  async series(): Promise<string[]> {
    return (await this.exposition()).filter((line) => !line.startsWith('#'));
  }

  async stop(): Promise<void> {
    await this.#process.kill();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

/** A data plane in this process with a real kube-state-metrics behind it. */
export class WorkerRig {
  readonly exporter: Exporter;
  /** Causes of the comparisons with the cluster that all planes of this rig have made. */
  readonly relists: string[] = [];
  /** When the exporter first asked the present plane for each resource; as `performance.now()` has it. */
  readonly askedAt = new Map<string, number>();
  /** Objects and events that all planes of this rig have read, by resource; half a second late. */
  readonly received = new Map<string, number>();
  readonly #name: string;
  readonly #port: number;
  readonly #api: ApiAccess;
  readonly #logger: Logger;
  readonly #fault: DataPlaneFault | undefined;
  #plane: DataPlane | undefined;
  #stop = new AbortController();
  #running: Promise<void> = Promise.resolve();
  #client: KubernetesClient | undefined;
  #listening = Promise.withResolvers<number>();

  /** @param flags what the exporter exports; the workload's kinds and labels when absent. */
  static async create(
    name: string,
    api: ApiAccess,
    fault?: DataPlaneFault,
    flags: readonly string[] = WORKLOAD_FLAGS,
  ): Promise<WorkerRig> {
    const [port = 0] = await freePorts(1);
    const exporter = await Exporter.create(name, `http://127.0.0.1:${port}`, undefined, flags);
    return new WorkerRig(name, api, port, exporter, fault);
  }

  private constructor(
    name: string,
    api: ApiAccess,
    port: number,
    exporter: Exporter,
    fault: DataPlaneFault | undefined,
  ) {
    this.#name = name;
    this.#api = api;
    this.#port = port;
    this.exporter = exporter;
    this.#fault = fault;
    this.#logger = createLogger({ name, level: process.env['RIG_LOG_LEVEL'] === 'info' ? 'info' : 'error' });
  }

  get plane(): DataPlane {
    if (this.#plane === undefined) throw new Error(`${this.#name} is not started`);
    return this.#plane;
  }

  startPlane(): void {
    this.askedAt.clear();
    this.#client = clientOf(this.#api, this.#logger, this.#name);
    this.#listening = Promise.withResolvers();
    this.#plane = createDataPlane({
      upstream: this.#client,
      logger: this.#logger,
      clock: systemClock,
      host: '127.0.0.1',
      port: this.#port,
      customResources: [{ group: CUSTOM_GROUP, kind: '*' }],
      pruning: { version: '2.20.0', annotationAllowList: new Map() },
      fault: this.#fault,
      metrics: {
        frames: (resource, received) => this.received.set(resource, (this.received.get(resource) ?? 0) + received),
        relist: (_resource, cause) => this.relists.push(cause),
        exporterRequest: (resource) => {
          if (!this.askedAt.has(resource)) this.askedAt.set(resource, performance.now());
        },
      },
      onListening: this.#listening.resolve,
    });
    this.#stop = new AbortController();
    this.#running = this.#plane.run(this.#stop.signal);
  }

  /** Starts the exporter once the plane listens: it exits when its API server refuses its first connection. */
  async startExporter(): Promise<void> {
    await this.#listening.promise;
    this.exporter.start();
  }

  async stopPlane(): Promise<void> {
    this.#stop.abort();
    await this.#running;
    await this.#client?.close();
  }

  assign(assignment: Partial<SlotAssignment> & { readonly epoch: number }): void {
    this.plane.applyAssignment({
      generation: 1,
      slotCount: 256,
      shardBy: 'uid',
      owned: [],
      warm: [],
      release: [],
      ...assignment,
    });
  }

  async stop(): Promise<void> {
    await this.exporter.stop();
    await this.stopPlane();
  }
}

export function clientOf(api: ApiAccess, logger: Logger, name: string): KubernetesClient {
  return new KubernetesClient({
    endpoint: staticEndpoint({ server: api.server, ca: api.ca, token: api.adminToken }),
    logger,
    userAgent: name,
  });
}

export function kubeconfigOf(api: ApiAccess): string {
  const data = Buffer.from(api.ca).toString('base64');
  return JSON.stringify({
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [
      {
        name: 'c',
        cluster: { server: api.server, 'certificate-authority-data': data, 'tls-server-name': 'kubernetes' },
      },
    ],
    users: [{ name: 'u', user: { token: api.adminToken } }],
    contexts: [{ name: 'x', context: { cluster: 'c', user: 'u' } }],
    'current-context': 'x',
  });
}

export function slots(from: number, to: number): number[] {
  return Array.from({ length: to - from }, (_, i) => from + i);
}
