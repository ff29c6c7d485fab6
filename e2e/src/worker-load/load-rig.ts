import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { instanceSpecOf } from '@shard-controller/shared/api';
import { slotsToRanges } from '@shard-controller/shared/hashing';
import { selfSignedCertificate } from '@shard-controller/shared/kubernetes/testing';
import { LEAN_NODE_ENVIRONMENT } from '@shard-controller/shared/runtime';
import { findProgram, productImages, WORKER_IMAGE } from '../cluster/process-node/images.ts';
import { freePorts } from '../cluster/free-ports.ts';
import { LocalProcess } from '../worker-process/local-process.ts';
import type { ApiServerCommand, ApiServerReport } from './api-server-protocol.ts';
import { Sink } from './sink.ts';
import { FIRST_VERSION } from './synthetic-pods.ts';

const SLOTS = 256;
const NAMESPACE = 'default';
const CONFIG = 'load';
const TIMEOUT_MS = 120_000;
/** A tick of /proc/<pid>/stat, ms: USER_HZ is 100 on every Linux that Node runs on. */
const TICK_MS = 10;

export interface LoadRigOptions {
  /** Pods that are there from the beginning; each is changed in turn. */
  readonly objects: number;
  /** Size of a watch frame, with its length prefix. */
  readonly frameBytes: number;
  /** Part of the hash space that the worker owns, 0 to 1. */
  readonly keptShare: number;
  /** The API server sends only what it is asked for by `shardSelector`; default false. */
  readonly narrows?: boolean;
  /** Further or other environment of the worker. */
  readonly env?: Readonly<Record<string, string>>;
  /** Put before the program, to profile it. */
  readonly nodeArguments?: readonly string[];
}

/** A real worker process between an API server that sends synthetic pods over TLS and an exporter that drops them. */
export class LoadRig implements AsyncDisposable {
  readonly sink: Sink;
  readonly #api: ChildProcess;
  readonly #worker: LocalProcess;
  readonly #folder: string;
  readonly #healthPort: number;
  readonly #firstState: string;

  static async start(options: LoadRigOptions): Promise<LoadRig> {
    const folder = mkdtempSync(join(tmpdir(), 'worker-load-'));
    const certificate = selfSignedCertificate('worker-load');
    writeFileSync(join(folder, 'token'), 'token');
    writeFileSync(join(folder, 'ca.crt'), certificate.certificate);
    const api = fork(join(import.meta.dirname, 'api-server.ts'), { execArgv: ['--conditions=@shard/source'] });
    const { objects, frameBytes, keptShare, narrows = false } = options;
    const settings = { ...certificate, objects, frameBytes, narrows, instance: instanceOwning(keptShare) };
    const report = await ask(api, { type: 'start', settings });
    if (report.type !== 'listening') throw new Error(`the API server of the load said ${report.type} first`);
    const rig = new LoadRig(options, folder, api, report.port, await freePorts(6));
    await rig.until('listened', () => rig.#worker.output.includes('the API endpoint of the exporter is listening'));
    return rig;
  }

  private constructor(
    options: LoadRigOptions,
    folder: string,
    api: ChildProcess,
    apiPort: number,
    [gateway = 0, health = 0, proxy = 0, exporter = 0, telemetry = 0, nats = 0]: readonly number[],
  ) {
    this.#folder = folder;
    this.#healthPort = health;
    this.#api = api;
    this.#firstState = String(FIRST_VERSION + options.objects);
    const program = findProgram(productImages, WORKER_IMAGE);
    if (program === undefined) throw new Error(`there is no program for the image ${WORKER_IMAGE}`);
    const [node, ...rest] = program.entrypoint;
    this.#worker = new LocalProcess({
      name: 'worker',
      command: [node, ...(options.nodeArguments ?? []), ...rest],
      env: {
        ...program.env,
        ...LEAN_NODE_ENVIRONMENT,
        POD_NAME: `${CONFIG}-a-0`,
        POD_NAMESPACE: NAMESPACE,
        SHARD_CONFIG: CONFIG,
        SHARD_CONFIG_UID: 'uid-of-load',
        // No server listens there: the data plane needs no NATS.
        NATS_URL: `nats://127.0.0.1:${nats}`,
        KUBERNETES_SERVICE_HOST: '127.0.0.1',
        KUBERNETES_SERVICE_PORT: String(apiPort),
        SERVICE_ACCOUNT_FOLDER: folder,
        LISTEN_HOST: '127.0.0.1',
        GATEWAY_PORT: String(gateway),
        HEALTH_PORT: String(health),
        PROXY_PORT: String(proxy),
        EXPORTER_PORT: String(exporter),
        EXPORTER_TELEMETRY_PORT: String(telemetry),
        DRAIN_TIMEOUT_MS: '0',
        ...options.env,
      },
    });
    this.sink = new Sink(proxy);
  }

  /** Opens the exporter's watch; resolves when the worker has shown it all that it owns and has been acknowledged. */
  async load(): Promise<void> {
    this.sink.open();
    await this.until('loaded', () => this.sink.acknowledgements > 0 && this.sink.version >= this.#firstState);
  }

  /** Changes so many pods, one after the other; resolves with the version of the bookmark that is sent at the end. */
  async churn(frames: number): Promise<string> {
    const report = await ask(this.#api, { type: 'churn', frames });
    if (report.type !== 'churned') throw new Error(`the API server of the load said ${report.type} to a churn`);
    return String(report.version);
  }

  /** Resolves when the exporter has got everything up to this version. */
  async passedOn(version: string): Promise<void> {
    await this.until('passed all changes on', () => this.sink.version === version);
  }

  /** CPU of the worker process since its start, ms. */
  cpu(): { readonly total: number; readonly system: number } {
    const stat = readFileSync(`/proc/${this.#worker.pid}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    const system = Number(fields[12]) * TICK_MS;
    return { total: Number(fields[11]) * TICK_MS + system, system };
  }

  /** Resident memory of the worker process now (`VmRSS`) or at its highest (`VmHWM`), MiB. */
  memory(key: 'VmRSS' | 'VmHWM' = 'VmRSS'): number {
    const status = readFileSync(`/proc/${this.#worker.pid}/status`, 'utf8');
    return oneDecimal(Number(new RegExp(`^${key}:\\s+(\\d+)`, 'm').exec(status)?.[1]) / 1024);
  }

  /** V8's heap and what hangs on it outside (buffers), as the worker's own metrics say; MiB. */
  async heap(): Promise<{ readonly used: number; readonly total: number; readonly external: number }> {
    const text = await this.#metrics();
    const mib = (name: string): number =>
      oneDecimal(Number(new RegExp(`^${name} (\\S+)`, 'm').exec(text)?.[1]) / 1024 / 1024);
    return {
      used: mib('nodejs_heap_size_used_bytes'),
      total: mib('nodejs_heap_size_total_bytes'),
      external: mib('nodejs_external_memory_bytes'),
    };
  }

  /** Frames that the worker has read from the API server. */
  async received(): Promise<number> {
    return Number(/_frames_total\{[^}]*direction="received"[^}]*\} (\d+)/.exec(await this.#metrics())?.[1] ?? 0);
  }

  async #metrics(): Promise<string> {
    const answer = await fetch(`http://127.0.0.1:${this.#healthPort}/metrics`);
    return answer.text();
  }

  async until(what: string, is: () => boolean): Promise<void> {
    const deadline = performance.now() + TIMEOUT_MS;
    while (!is()) {
      if (!this.#worker.running || performance.now() > deadline) {
        throw new Error(`the worker never ${what}; its log:\n${this.#worker.output.slice(-3_000)}`);
      }
      await sleep(10);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.sink.close();
    // SIGTERM first: a profiler writes its file at the end of the process.
    this.#worker.signal('SIGTERM');
    await Promise.race([this.#worker.exit, sleep(5_000)]);
    await this.#worker.kill();
    this.#api.disconnect();
    if (this.#api.exitCode === null) await once(this.#api, 'exit');
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

function oneDecimal(value: number): number {
  return Math.round(value * 10) / 10;
}

function instanceOwning(share: number): unknown {
  const owned = Array.from({ length: Math.round(share * SLOTS) }, (_, slot) => slot);
  const spec = instanceSpecOf({
    v: 'shard.assignment.v1',
    shardConfig: { namespace: NAMESPACE, name: CONFIG, uid: 'uid-of-load' },
    shardId: 'shard-000',
    generation: 1,
    epoch: 1,
    slotCount: SLOTS,
    shardBy: 'uid',
    hashRanges: slotsToRanges(owned, SLOTS),
    warmRanges: [],
    releaseRanges: [],
  });
  const metadata = { name: `${CONFIG}-shard-000`, namespace: NAMESPACE, uid: 'uid-of-instance', resourceVersion: '1' };
  return { apiVersion: 'shard.io/v1', kind: 'ShardInstance', metadata, spec };
}

/** Sends a command and waits for its report: one at a time. */
async function ask(api: ChildProcess, command: ApiServerCommand): Promise<ApiServerReport> {
  const report = new Promise<ApiServerReport>((resolve) =>
    api.once('message', (said: ApiServerReport) => resolve(said)),
  );
  api.send(command);
  return report;
}
