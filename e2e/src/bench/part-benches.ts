import { benchFilter } from '../filter-bench/filter-bench.ts';
import { measureWorkerFrames } from '../worker-load/index.ts';
import type { Stage } from './stage.ts';

/** What a frame costs one worker process, from its TLS socket to the exporter's, and what it keeps in memory. */
export interface WorkerFigures {
  readonly frameBytes: number;
  /** CPU of a worker's process before it has read any object, ms. */
  readonly bootCpuMs: number;
  /** CPU per frame that the worker drops, and per frame that it passes on, µs. */
  readonly microsPerFrameReceived: number;
  readonly microsPerFrameKept: number;
  /** From the process's boot until the exporter has everything, when it owns all, µs per object; by number of objects. */
  readonly startMicrosPerObject: { readonly few: number; readonly many: number };
  readonly memory: WorkerMemory;
  /** The same where the API server sends only what the worker owns. */
  readonly memoryWithPushdown: WorkerMemory;
}

interface WorkerMemory {
  readonly objects: number;
  readonly owned: number;
  /** Resident memory after the changes, and its highest value, MiB. */
  readonly rssMiB: number;
  readonly peakMiB: number;
}

/** Objects per second and core through the slot filter alone. */
export interface FilterFigures {
  readonly protobufPerSecond: number;
  readonly jsonPerSecond: number;
}

const FRAME_BYTES = 1024;
const FRAMES = 60_000;
const OBJECTS = 20_000;
const OWNED_SHARE = 0.25;
const FILTER_MS = 2000;

/** Memory is that of five times the bench's objects, 100,000 at its full size, of which the worker owns a quarter. */
export async function measureWorker(benchObjects: number): Promise<WorkerFigures> {
  const frames = Math.min(FRAMES, benchObjects * 3);
  const objects = Math.min(OBJECTS, benchObjects);
  const load = { frames, bytes: FRAME_BYTES, objects };
  const received = await measureWorkerFrames({ ...load, keptShare: 0 });
  const kept = await measureWorkerFrames({ ...load, keptShare: 1 });
  const many = benchObjects * 5;
  const startOfMany = await measureWorkerFrames({ ...load, keptShare: 1, objects: many });
  const memory = async (narrows: boolean): Promise<WorkerMemory> => {
    const { rssMiB } = await measureWorkerFrames({ ...load, keptShare: OWNED_SHARE, objects: many, narrows });
    return { objects: many, owned: Math.round(many * OWNED_SHARE), rssMiB: rssMiB.steady, peakMiB: rssMiB.peak };
  };
  return {
    frameBytes: FRAME_BYTES,
    bootCpuMs: kept.bootCpuMs,
    microsPerFrameReceived: received.cpuMicrosPerFrame,
    microsPerFrameKept: kept.cpuMicrosPerFrame,
    startMicrosPerObject: { few: kept.startCpuMicrosPerObject, many: startOfMany.startCpuMicrosPerObject },
    memory: await memory(false),
    memoryWithPushdown: await memory(true),
  };
}

/** The filter alone, on frames that the API server sent. */
export async function measureFilterSpeed(stage: Stage): Promise<FilterFigures> {
  const { protobuf, json } = await benchFilter(stage.cluster.admin, FILTER_MS);
  return { protobufPerSecond: protobuf.objectsPerSecond, jsonPerSecond: json.objectsPerSecond };
}
