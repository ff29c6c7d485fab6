import { LoadRig } from './load-rig.ts';

/** What is compiled at the first frames belongs to the start; frames. */
const WARM_UP = 5_000;

export interface WorkerLoad {
  /** Changes sent over the watch after the start. CPU is read in ticks of 10 ms: 20,000 and more. */
  readonly frames: number;
  /** Size of a watch frame, with its length prefix. */
  readonly bytes: number;
  /** Part of the hash space that the worker owns, 0 to 1. */
  readonly keptShare: number;
  /** The API server sends only what it is asked for by `shardSelector`; default false. */
  readonly narrows?: boolean;
  /** Objects there before; each is changed in turn. Default 20,000. */
  readonly objects?: number;
  /** Further or other environment of the worker. */
  readonly env?: Readonly<Record<string, string>>;
  /** Put before the program, to profile it. */
  readonly nodeArguments?: readonly string[];
}

export interface WorkerFigures {
  /** CPU of the worker process from its launch until it listens, ms. */
  readonly bootCpuMs: number;
  /** From there until the first state was acknowledged, per object seen; everything that is compiled then included. */
  readonly startCpuMicrosPerObject: number;
  /** Per frame of the watch, kept or not. */
  readonly cpuMicrosPerFrame: number;
  /** The part of it that ran in the kernel. */
  readonly systemCpuMicrosPerFrame: number;
  readonly framesPerSecond: number;
  /** Frames of the watch that the exporter got / frames sent. */
  readonly keptShare: number;
  /** Resident memory once it listens, after the first state, after the changes, and its highest value; MiB. */
  readonly rssMiB: { readonly boot: number; readonly started: number; readonly steady: number; readonly peak: number };
  /** V8's heap and what hangs on it outside (buffers), after the changes; MiB. */
  readonly heapMiB: { readonly used: number; readonly total: number; readonly external: number };
}

/**
 * What a frame costs a worker from socket to socket: a real worker process, an API server that sends synthetic pods over
 * TLS, one record per frame, and an exporter that takes everything.
 */
export async function measureWorkerFrames(load: WorkerLoad): Promise<WorkerFigures> {
  const { frames, objects = 20_000, bytes: frameBytes, ...rest } = load;
  await using rig = await LoadRig.start({ ...rest, objects, frameBytes });
  const boot = { cpu: rig.cpu(), rss: rig.memory() };
  await rig.load();
  const started = { cpu: rig.cpu(), rss: rig.memory() };
  await rig.passedOn(await rig.churn(WARM_UP));
  const warm = { cpu: rig.cpu(), frames: rig.sink.frames, at: performance.now() };
  await rig.passedOn(await rig.churn(frames));
  const end = { cpu: rig.cpu(), frames: rig.sink.frames, at: performance.now() };
  return {
    bootCpuMs: boot.cpu.total,
    startCpuMicrosPerObject: ((started.cpu.total - boot.cpu.total) * 1_000) / objects,
    cpuMicrosPerFrame: ((end.cpu.total - warm.cpu.total) * 1_000) / frames,
    systemCpuMicrosPerFrame: ((end.cpu.system - warm.cpu.system) * 1_000) / frames,
    framesPerSecond: (frames * 1_000) / (end.at - warm.at),
    keptShare: (end.frames - warm.frames) / frames,
    rssMiB: { boot: boot.rss, started: started.rss, steady: rig.memory(), peak: rig.memory('VmHWM') },
    heapMiB: await rig.heap(),
  };
}
