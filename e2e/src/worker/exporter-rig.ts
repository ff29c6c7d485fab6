import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
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
} from '@shard-controller/worker/resource-processor';
import { ManagedProcess } from '../cluster/managed-process.ts';
import { resolveBinary, resolveSystemTool } from '../cluster/binaries.ts';
import type { StandaloneApiServer } from '../cluster/standalone-api-server.ts';
import { CUSTOM_GROUP, CUSTOM_RESOURCE_STATE, LABELS_ALLOWLIST } from '../workload/index.ts';

/** A kube-state-metrics of its own, pointed at any API server. */
export class Exporter {
  readonly #process: ManagedProcess;
  readonly #folder: string;
  readonly port: number;

  /** @param extraArgs further flags of kube-state-metrics. */
  static async create(
    name: string,
    apiServer: string,
    kubeconfig?: string,
    extraArgs: readonly string[] = [],
  ): Promise<Exporter> {
    const folder = mkdtempSync(join(tmpdir(), `exporter-${name}-`));
    return new Exporter(name, folder, await freePort(), await freePort(), apiServer, kubeconfig, extraArgs);
  }

  private constructor(
    name: string,
    folder: string,
    port: number,
    telemetryPort: number,
    apiServer: string,
    kubeconfig: string | undefined,
    extraArgs: readonly string[],
  ) {
    this.port = port;
    this.#folder = folder;
    const config = join(folder, 'custom-resource-state.yaml');
    writeFileSync(config, CUSTOM_RESOURCE_STATE);
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
        `--metric-labels-allowlist=${LABELS_ALLOWLIST.join(',')}`,
        `--custom-resource-state-config-file=${config}`,
        ...extraArgs,
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

  get logFile(): string {
    return join(this.#folder, 'exporter.log');
  }

  /** Series of one scrape, sorted, without comments. */
  async series(): Promise<string[]> {
    const response = await fetch(`http://127.0.0.1:${this.port}/metrics`);
    const text = await response.text();
    return text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  }

  async stop(): Promise<void> {
    await this.#process.kill();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

/** A data plane in this process with a real kube-state-metrics behind it. */
export class WorkerRig {
  readonly exporter: Exporter;
  readonly #name: string;
  readonly #port: number;
  readonly #api: StandaloneApiServer;
  readonly #logger: Logger;
  readonly #fault: DataPlaneFault | undefined;
  #plane: DataPlane | undefined;
  #stop = new AbortController();
  #running: Promise<void> = Promise.resolve();
  #client: KubernetesClient | undefined;

  static async create(name: string, api: StandaloneApiServer, fault?: DataPlaneFault): Promise<WorkerRig> {
    const port = await freePort();
    return new WorkerRig(name, api, port, await Exporter.create(name, `http://127.0.0.1:${port}`), fault);
  }

  private constructor(
    name: string,
    api: StandaloneApiServer,
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
    this.#client = clientOf(this.#api, this.#logger, this.#name);
    this.#plane = createDataPlane({
      upstream: this.#client,
      logger: this.#logger,
      clock: systemClock,
      host: '127.0.0.1',
      port: this.#port,
      firstList: 'Streamed',
      customResources: [{ group: CUSTOM_GROUP, kind: '*' }],
      diet: { version: '2.20.0', annotationAllowList: new Map() },
      fault: this.#fault,
    });
    this.#stop = new AbortController();
    this.#running = this.#plane.run(this.#stop.signal);
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

export function clientOf(api: StandaloneApiServer, logger: Logger, name: string): KubernetesClient {
  return new KubernetesClient({
    endpoint: staticEndpoint({ server: api.server, ca: api.ca, token: api.adminToken }),
    logger,
    userAgent: name,
  });
}

export function kubeconfigOf(api: StandaloneApiServer): string {
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

const taken = new Set<number>();

/** A free port below the range that outgoing connections use, which come and go by the hundred here. */
async function freePort(): Promise<number> {
  for (;;) {
    const port = 20_000 + Math.floor(Math.random() * 12_000);
    if (taken.has(port)) continue;
    taken.add(port);
    const isFree = await new Promise<boolean>((resolve) => {
      const server = createServer();
      server.once('error', () => resolve(false));
      server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
    });
    if (isFree) return port;
  }
}
