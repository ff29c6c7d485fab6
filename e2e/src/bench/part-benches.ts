import { z } from 'zod';
import type { Stage } from './stage.ts';

/** What a frame costs one worker process, from its TLS socket to the exporter's, and what it keeps in memory. */
export interface WorkerFigures {
  readonly frameBytes: number;
  /** CPU of a worker's process before it has read any object, ms. */
  readonly bootCpuMs: number;
  /** CPU per frame that the worker drops, and per frame that it passes on, µs. */
  readonly microsPerFrameReceived: number;
  readonly microsPerFrameKept: number;
  readonly memory: {
    readonly objects: number;
    readonly owned: number;
    /** Resident memory after the changes, and its highest value, MiB. */
    readonly rssMiB: number;
    readonly peakMiB: number;
  };
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

const loadSchema = z.looseObject({
  bootCpuMs: z.number(),
  cpuMicrosPerFrame: z.number(),
  rssMiB: z.looseObject({ steady: z.number(), peak: z.number() }),
});
const speedSchema = z.looseObject({ objectsPerSecond: z.number() });
const filterSchema = z.looseObject({ protobuf: speedSchema, json: speedSchema });

/** Memory is that of five times the bench's objects, 100,000 at its full size, of which the worker owns a quarter. */
export async function measureWorker(benchObjects: number): Promise<WorkerFigures> {
  const measure = await partBench('../worker-load/index.ts', 'measureWorkerFrames');
  const frames = Math.min(FRAMES, benchObjects * 3);
  const objects = Math.min(OBJECTS, benchObjects);
  const load = async (options: object) =>
    loadSchema.parse(await measure({ frames, bytes: FRAME_BYTES, objects, ...options }));
  const received = await load({ keptShare: 0 });
  const kept = await load({ keptShare: 1 });
  const many = benchObjects * 5;
  const memory = await load({ keptShare: OWNED_SHARE, objects: many });
  return {
    frameBytes: FRAME_BYTES,
    bootCpuMs: kept.bootCpuMs,
    microsPerFrameReceived: received.cpuMicrosPerFrame,
    microsPerFrameKept: kept.cpuMicrosPerFrame,
    memory: {
      objects: many,
      owned: Math.round(many * OWNED_SHARE),
      rssMiB: memory.rssMiB.steady,
      peakMiB: memory.rssMiB.peak,
    },
  };
}

/** The filter alone, on frames that the API server sent. */
export async function measureFilterSpeed(stage: Stage): Promise<FilterFigures> {
  const measure = await partBench('../filter-bench/filter-bench.ts', 'benchFilter');
  const { protobuf, json } = filterSchema.parse(await measure(stage.cluster.admin, FILTER_MS));
  return { protobufPerSecond: protobuf.objectsPerSecond, jsonPerSecond: json.objectsPerSecond };
}

type Measure = (...args: readonly unknown[]) => Promise<unknown>;

/** A measurement of a part of the worker that stands by itself. @throws Error when this checkout has none */
async function partBench(file: string, name: string): Promise<Measure> {
  const loaded: unknown = await import(file).catch((error: unknown) => {
    throw new Error(`this checkout has no ${file}`, { cause: error });
  });
  return z.looseObject({ [name]: z.custom<Measure>((value) => typeof value === 'function') }).parse(loaded)[
    name
  ] as Measure;
}
