import type { Contestant } from './contestants/contestant.ts';
import { metricsUrl } from './contestants/contestant.ts';
import { observe } from './observer/client.ts';
import type { Observations } from './observer/protocol.ts';
import type { ProcessBook, ProcessFigures } from './process-book.ts';
import { readText } from './scrape.ts';
import { pause, type Stage, STAMPS, STAMPS_NAMESPACE } from './stage.ts';
import { sum } from './statistics.ts';

export interface SteadyFigures {
  readonly seconds: number;
  /** Changes that the churn made, and what it was asked to make. */
  readonly changes: number;
  readonly changesFailed: number;
  readonly observations: Observations;
  /** What all processes had used when it began. */
  readonly before: readonly ProcessFigures[];
  /** CPU and bytes are those of the steady state alone; memory is as in {@link ProcessFigures}. */
  readonly processes: readonly ProcessFigures[];
  /** Frames that all workers received and kept, by their own count; null without workers. */
  readonly frames: { readonly received: number; readonly kept: number } | null;
}

/** Time for the churn to get going. */
const RUN_UP_MS = 3000;
const WORKER_PORT = 8083;

/** Lets the churn run for `seconds` and looks at what the contestant makes of it. */
export async function measureSteady(
  stage: Stage,
  contestant: Contestant,
  book: ProcessBook,
  options: { readonly plain: Contestant; readonly seconds: number; readonly signal: AbortSignal },
): Promise<SteadyFigures> {
  const { cluster, churn } = stage;
  const targets = contestant === options.plain ? [] : await urls(contestant);
  const [plain = ''] = await urls(options.plain);
  churn.resume();
  try {
    await pause(RUN_UP_MS);
    const start = performance.now();
    const [before, frames, counts] = [await book.figures(), await framesOf(contestant), churn.counts];
    const ran = book.processes;
    const observations = await observe(
      {
        server: cluster.apiServerUrl,
        ca: cluster.caPem,
        token: cluster.adminToken,
        plain,
        targets,
        stamps: { namespace: STAMPS_NAMESPACE, names: STAMPS },
        seconds: options.seconds,
      },
      options.signal,
    );
    const after = await book.figures();
    const restarted = ran.filter(({ pid }) => !book.processes.some((process) => process.pid === pid));
    if (restarted.length > 0) {
      const names = restarted.map(({ pod, role }) => `${role} of ${pod}`).join(', ');
      throw new Error(`${names} ended while it was measured: its figures would be those of another process`);
    }
    const [framesAfter, countsAfter] = [await framesOf(contestant), churn.counts];
    return {
      seconds: (performance.now() - start) / 1000,
      changes: changesOf(countsAfter) - changesOf(counts),
      changesFailed: countsAfter.failed - counts.failed,
      observations,
      before,
      processes: after.map((figures) => since(figures, before)),
      frames:
        frames === null || framesAfter === null
          ? null
          : { received: framesAfter.received - frames.received, kept: framesAfter.kept - frames.kept },
    };
  } finally {
    await churn.pause();
  }
}

async function urls(contestant: Contestant): Promise<readonly string[]> {
  return (await contestant.pods()).flatMap(({ ip }) => (ip === undefined ? [] : [metricsUrl(ip)]));
}

function since(after: ProcessFigures, before: readonly ProcessFigures[]): ProcessFigures {
  const start = before.find(({ pod, role }) => pod === after.pod && role === after.role);
  return {
    ...after,
    cpuMs: after.cpuMs - (start?.cpuMs ?? 0),
    apiBytes: after.apiBytes === null ? null : after.apiBytes - (start?.apiBytes ?? 0),
  };
}

/** Requests that changed an object; a re-creation is two of them. */
function changesOf(counts: Stage['churn']['counts']): number {
  return counts.status + counts.label + counts.create + counts.delete + 2 * counts.recreate;
}

async function framesOf(contestant: Contestant): Promise<{ received: number; kept: number } | null> {
  if (!contestant.knowsWhenComplete) return null;
  const pods = await contestant.pods();
  const expositions = await Promise.all(pods.map(({ ip }) => readText(`http://${ip ?? ''}:${WORKER_PORT}/metrics`)));
  const frames = expositions.map((text) => readFrames(text ?? ''));
  return { received: sum(frames.map((f) => f.received)), kept: sum(frames.map((f) => f.kept)) };
}

/** The worker's own count of frames, all resources together. */
function readFrames(exposition: string): { readonly received: number; readonly kept: number } {
  const total = (direction: string): number =>
    sum(
      [
        ...exposition.matchAll(
          new RegExp(`^shard_controller_worker_frames_total\\{[^}]*direction="${direction}"[^}]*\\} (\\d+)`, 'gm'),
        ),
      ].map(([, value]) => Number(value)),
    );
  return { received: total('received'), kept: total('kept') };
}
