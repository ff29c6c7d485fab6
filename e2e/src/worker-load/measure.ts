import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { instanceSpecOf } from '@shard-controller/shared/api';
import { slotsToRanges } from '@shard-controller/shared/hashing';
import { LEAN_NODE_ENVIRONMENT } from '@shard-controller/shared/runtime';
import { selfSignedCertificate } from '@shard-controller/shared/kubernetes/testing';
import { findProgram, productImages, WORKER_IMAGE } from '../cluster/process-node/images.ts';
import { freePorts } from '../worker-process/free-ports.ts';
import { LocalProcess } from '../worker-process/local-process.ts';
import type { ApiServerCommand, ApiServerReport } from './api-server-protocol.ts';
import { Sink } from './sink.ts';

const SLOTS = 256;
const NAMESPACE = 'default';
const CONFIG = 'load';
const TIMEOUT_MS = 120_000;
/** A tick of /proc/<pid>/stat, ms: USER_HZ is 100 on every Linux that Node runs on. */
const TICK_MS = 10;

export interface WorkerLoad {
  /** Changes sent over the watch after the start. */
  readonly frames: number;
  /** Size of a watch frame, with its length prefix. */
  readonly bytes: number;
  /** Part of the hash space that the worker owns, 0 to 1. */
  readonly keptShare: number;
  /** Objects there before; each is changed in turn. Default 20,000. */
  readonly objects?: number;
  /** Further or other environment of the worker. */
  readonly env?: Readonly<Record<string, string>>;
  /** Put before the program, to profile it. */
  readonly nodeArguments?: readonly string[];
}

export interface WorkerFigures {
  /** CPU of the worker process from its launch to the moment where it has no feed yet, ms. */
  readonly bootCpuMs: number;
  /** CPU per object of the first load, µs, and for the frames of the watch. */
  readonly startCpuMicrosPerObject: number;
  readonly cpuMicrosPerFrame: number;
  /** The part of it that ran in the kernel. */
  readonly systemCpuMicrosPerFrame: number;
  readonly framesPerSecond: number;
  /** Frames that reached the exporter's side / frames sent, of the watch. */
  readonly keptShare: number;
  /** Resident memory right after the start and after the changes, and its highest value; MiB. */
  readonly rssMiB: { readonly boot: number; readonly started: number; readonly steady: number; readonly peak: number };
  /** V8's heap and what hangs on it outside (buffers), after the changes, as its own metrics say; MiB. */
  readonly heapMiB: { readonly used: number; readonly total: number; readonly external: number };
}

/**
 * Runs a real worker process against an API server that sends synthetic pods over TLS, and an exporter that takes
 * everything: what a frame costs from socket to socket. CPU is read in ticks of 10 ms: use 20,000 frames and more.
 */
export async function measureWorkerFrames(load: WorkerLoad): Promise<WorkerFigures> {
  await using rig = await LoadRig.start(load);
  return await rig.measure();
}

class LoadRig {
  readonly #load: Required<Pick<WorkerLoad, 'objects'>> & WorkerLoad;
  readonly #api: ChildProcess;
  readonly #worker: LocalProcess;
  readonly #sink: Sink;
  readonly #folder: string;
  readonly #healthPort: number;

  static async start(given: WorkerLoad): Promise<LoadRig> {
    const load = { objects: 20_000, ...given };
    const folder = mkdtempSync(join(tmpdir(), 'worker-load-'));
    const certificate = selfSignedCertificate('worker-load');
    writeFileSync(join(folder, 'token'), 'token');
    writeFileSync(join(folder, 'ca.crt'), certificate.certificate);
    const api = fork(join(import.meta.dirname, 'api-server.ts'), { execArgv: ['--conditions=@shard/source'] });
    const instance = instanceOwning(load.keptShare);
    const settings = { ...certificate, objects: load.objects, frameBytes: load.bytes, instance };
    const { port = 0 } = { ...(await ask(api, { type: 'start', settings })) } as { port?: number };
    const ports = await freePorts(6);
    return new LoadRig(load, folder, api, port, ports);
  }

  private constructor(
    load: Required<Pick<WorkerLoad, 'objects'>> & WorkerLoad,
    folder: string,
    api: ChildProcess,
    apiPort: number,
    [gateway = 0, health = 0, proxy = 0, exporter = 0, telemetry = 0, nats = 0]: readonly number[],
  ) {
    this.#load = load;
    this.#folder = folder;
    this.#healthPort = health;
    this.#api = api;
    const program = findProgram(productImages, WORKER_IMAGE);
    if (program === undefined) throw new Error(`there is no program for the image ${WORKER_IMAGE}`);
    const [node, ...rest] = program.entrypoint;
    this.#worker = new LocalProcess({
      name: 'worker',
      command: [node, ...(load.nodeArguments ?? []), ...rest],
      env: {
        ...program.env,
        ...LEAN_NODE_ENVIRONMENT,
        POD_NAME: `${CONFIG}-a-0`,
        POD_NAMESPACE: NAMESPACE,
        SHARD_CONFIG: CONFIG,
        SHARD_CONFIG_UID: 'uid-of-load',
        // Nobody listens there: the data plane needs no NATS.
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
        ...load.env,
      },
    });
    this.#sink = new Sink(proxy);
  }

  async measure(): Promise<WorkerFigures> {
    const { objects, frames } = this.#load;
    await this.#until('has listened', () => this.#worker.output.includes('can reach its API endpoint'));
    const boot = this.#usage();
    const bootRss = this.#memory('VmRSS');
    this.#sink.open();
    const first = String(1_000_000_000 + objects);
    await this.#until('has loaded', () => this.#sink.acknowledgements > 0 && this.#sink.version >= first);
    const started = this.#usage();
    const startedRss = this.#memory('VmRSS');
    const before = this.#sink.frames;
    // What is compiled at the first frames belongs to the start.
    await this.#churn(Math.min(5_000, frames));
    const warm = this.#usage();
    const warmFrames = this.#sink.frames;
    const startedAt = performance.now();
    await this.#churn(frames);
    const seconds = (performance.now() - startedAt) / 1_000;
    const end = this.#usage();
    if (before === 0 && this.#load.keptShare > 0) throw new Error('nothing was kept of the first load');
    return {
      bootCpuMs: boot.total,
      startCpuMicrosPerObject: ((started.total - boot.total) * 1_000) / objects,
      cpuMicrosPerFrame: ((end.total - warm.total) * 1_000) / frames,
      systemCpuMicrosPerFrame: ((end.system - warm.system) * 1_000) / frames,
      framesPerSecond: frames / seconds,
      keptShare: (this.#sink.frames - warmFrames) / frames,
      rssMiB: {
        boot: bootRss,
        started: startedRss,
        steady: this.#memory('VmRSS'),
        peak: this.#memory('VmHWM'),
      },
      heapMiB: await this.#heap(),
    };
  }

  async #churn(frames: number): Promise<void> {
    const { version } = { ...(await ask(this.#api, { type: 'churn', frames })) } as { version?: number };
    await this.#until('has passed all changes on', () => this.#sink.version === String(version));
  }

  #usage(): { readonly total: number; readonly system: number } {
    const stat = readFileSync(`/proc/${this.#worker.pid}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    const system = Number(fields[12]) * TICK_MS;
    return { total: Number(fields[11]) * TICK_MS + system, system };
  }

  #memory(key: 'VmRSS' | 'VmHWM'): number {
    const status = readFileSync(`/proc/${this.#worker.pid}/status`, 'utf8');
    const kib = Number(new RegExp(`^${key}:\\s+(\\d+)`, 'm').exec(status)?.[1]);
    return Math.round((kib / 1024) * 10) / 10;
  }

  async #heap(): Promise<WorkerFigures['heapMiB']> {
    const text = await (await fetch(`http://127.0.0.1:${this.#healthPort}/metrics`)).text();
    const mib = (name: string): number =>
      Math.round((Number(new RegExp(`^${name} (\\S+)`, 'm').exec(text)?.[1]) / 1024 / 1024) * 10) / 10;
    return {
      used: mib('nodejs_heap_size_used_bytes'),
      total: mib('nodejs_heap_size_total_bytes'),
      external: mib('nodejs_external_memory_bytes'),
    };
  }

  async #until(what: string, is: () => boolean): Promise<void> {
    const deadline = performance.now() + TIMEOUT_MS;
    while (!is()) {
      if (!this.#worker.running || performance.now() > deadline) {
        throw new Error(`the worker never ${what}; its log:\n${this.#worker.output.slice(-3_000)}`);
      }
      await sleep(10);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#sink.close();
    // SIGTERM first: a profiler writes its file at the end of the process.
    this.#worker.signal('SIGTERM');
    await Promise.race([this.#worker.exit, sleep(5_000)]);
    await this.#worker.kill();
    this.#api.disconnect();
    if (this.#api.exitCode === null) await once(this.#api, 'exit');
    rmSync(this.#folder, { recursive: true, force: true });
  }
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

async function ask(api: ChildProcess, command: ApiServerCommand): Promise<ApiServerReport> {
  api.send(command);
  const [report] = (await once(api, 'message')) as [ApiServerReport];
  return report;
}
