import { PassThrough, type Readable } from 'node:stream';
import type { StreamRequest, StreamResponse } from '@shard-controller/shared/kubernetes';
import { aborted } from '@shard-controller/shared/runtime';
import type { FilterDecision } from '../feed/books/index.ts';
import { type SlotAssignment, slotHashOf } from '../slots/index.ts';
import type { Upstream } from '../upstream/index.ts';
import type { FrameView } from '../wire/index.ts';
import type { DataPlane, DataPlaneFault, DataPlaneOptions } from './data-plane.ts';
import { WorkerDataPlane } from './worker-data-plane.ts';

/** A data plane that fails on purpose: tests of the manager's rollback need one. */
export function faultyDataPlane(options: DataPlaneOptions, fault: DataPlaneFault): DataPlane {
  switch (fault) {
    case 'mute':
      return overridden(new WorkerDataPlane(options), {
        verify: async (_, signal) => {
          await aborted(signal);
          throw new Error('muted by a test');
        },
      });
    case 'omit-one': {
      const omission = new Omission();
      const plane = new WorkerDataPlane(options, omission.filter);
      return overridden(plane, {
        applyAssignment: (assignment) => {
          omission.choosesFrom(assignment);
          plane.applyAssignment(assignment);
        },
      });
    }
    case 'stop-feed': {
      const upstream = new StoppableUpstream(options.upstream);
      const plane = new WorkerDataPlane({ ...options, upstream });
      return overridden(plane, {
        status: () => {
          const status = plane.status();
          // Before anybody hears of the acknowledgement that it waits for.
          if (status.handovers.some(({ state }) => state === 'acknowledged')) upstream.stop(largestPath(plane));
          return status;
        },
      });
    }
  }
  return fault satisfies never;
}

function overridden(plane: DataPlane, by: Partial<DataPlane>): DataPlane {
  return {
    inspection: plane.inspection,
    distrustExporter: () => plane.distrustExporter(),
    presumeUnavailable: (kinds) => plane.presumeUnavailable(kinds),
    applyAssignment: (assignment) => plane.applyAssignment(assignment),
    status: () => plane.status(),
    onChange: (callback) => plane.onChange(callback),
    verify: (request, signal) => plane.verify(request, signal),
    run: (signal) => plane.run(signal),
    ...by,
  };
}

/** Leaves out one object of the warm slots; the same every time, or a second load would bring it after all. */
class Omission {
  #isWarm: (view: FrameView) => boolean = () => false;
  #uid: string | undefined;

  choosesFrom({ warm, shardBy, slotCount }: SlotAssignment): void {
    const slots = new Set(warm.flatMap((migrating) => migrating.slots));
    const slotHash = slotHashOf(shardBy, slotCount);
    this.#isWarm = (view) => slots.has(slotHash(view));
  }

  readonly filter = (_entry: object, view: FrameView): FilterDecision => {
    if (this.#uid === undefined && this.#isWarm(view)) this.#uid = view.uid();
    return view.uid() === this.#uid ? 'suppress' : 'forward';
  };
}

/** The collection of which the exporter was sent the most: where no object moves nothing is verified. */
function largestPath({ inspection }: DataPlane): string {
  const sharded = inspection.feeds().filter(({ isSharded }) => isSharded);
  const [largest] = sharded.toSorted((a, b) => b.sent - a.sent);
  return largest?.path ?? '';
}

/** The upstream, of which one collection can be stopped: from then on nothing is heard of it, and nothing fails. */
export class StoppableUpstream implements Upstream {
  readonly #upstream: Upstream;
  readonly #open = new Map<PassThrough, { readonly path: string; readonly body: Readable }>();
  #stopped: string | undefined;

  constructor(upstream: Upstream) {
    this.#upstream = upstream;
  }

  /** The first collection that is named; others do not follow it. */
  stop(path: string): void {
    this.#stopped ??= path;
    for (const [gate, { path: of, body }] of this.#open) if (this.#isStopped(of)) body.unpipe(gate).pause();
  }

  async stream(request: StreamRequest): Promise<StreamResponse> {
    if (this.#isStopped(request.path)) {
      await (request.signal === undefined ? new Promise(() => {}) : aborted(request.signal));
      throw new Error('stopped by a test');
    }
    const response = await this.#upstream.stream(request);
    const { body } = response;
    const gate = new PassThrough();
    this.#open.set(gate, { path: request.path, body });
    body.on('error', (error) => gate.destroy(error));
    gate.once('close', () => {
      this.#open.delete(gate);
      body.destroy();
    });
    body.pipe(gate);
    return { ...response, body: gate };
  }

  #isStopped(path: string): boolean {
    return this.#stopped !== undefined && (path === this.#stopped || path.startsWith(`${this.#stopped}/`));
  }
}
