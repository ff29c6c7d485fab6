import { KINDS, pathOf } from '../workload/index.ts';
import { ShardController } from './contestants/shard-controller.ts';
import { ProcessBook } from './process-book.ts';
import { pause, type Stage, until } from './stage.ts';
import { sum } from './statistics.ts';

/** What moving a few objects costs the API server. */
export interface MoveFigures {
  readonly objects: number;
  /** Migrations that they came in. */
  readonly migrations: number;
  /** Mean size of an object in protobuf, as a list holds it. */
  readonly objectBytes: number;
  /** Read by all targets during the moves, less what they read when nothing moves. */
  readonly bytes: number;
  readonly ms: number;
}

/** A small part of all objects, so that each migration moves fewer than 500, up to 75,000 objects in all. */
const RESOURCES: readonly string[] = ['deployments', 'replicasets', 'services'];
const SHARDS = 4;
const IDLE_MS = 4000;
const READY_MS = 180_000;

/**
 * Four shards that export three small kinds become three: each of the three takes over a twelfth of the objects, over
 * feeds that it has had open all the time. Without churn, so that what the targets read is read for the moves.
 */
export async function measureMoves(stage: Stage): Promise<MoveFigures> {
  const contestant = new ShardController(stage, 'bench-moves', { shards: SHARDS, resources: RESOURCES });
  const book = new ProcessBook(stage, contestant);
  const ending = new AbortController();
  const running = book.run(ending.signal);
  try {
    await contestant.start();
    await until('four shards', READY_MS, () => contestant.ready());
    const { count, bytes: objectBytes } = await sizes(stage);
    const first = await bytesRead(book);
    await pause(IDLE_MS);
    const idle = await bytesRead(book);
    const start = performance.now();
    await contestant.scale(SHARDS - 1);
    await until('three shards', READY_MS, () => contestant.ready());
    const ms = performance.now() - start;
    const after = await bytesRead(book);
    const perMs = (total(idle) - total(first)) / IDLE_MS;
    return {
      objects: Math.round(count / SHARDS),
      migrations: SHARDS - 1,
      objectBytes,
      bytes: Math.max(0, total(after) - total(idle) - perMs * ms),
      ms,
    };
  } finally {
    ending.abort();
    await running;
    await contestant.remove();
  }

  function total(bytes: ReadonlyMap<string, number>): number {
    return sum([...bytes.values()]);
  }
}

/** Bytes that the workers which stay have read, by pod. */
async function bytesRead(book: ProcessBook): Promise<ReadonlyMap<string, number>> {
  const figures = await book.figures();
  const staying = figures.filter(({ pod }) => !pod.endsWith(`-${SHARDS - 1}`));
  return new Map(staying.flatMap(({ pod, apiBytes }) => (apiBytes === null ? [] : [[pod, apiBytes] as const])));
}

/** Objects of the kinds, and their mean size in a protobuf list. */
async function sizes(stage: Stage): Promise<{ readonly count: number; readonly bytes: number }> {
  let count = 0;
  let bytes = 0;
  for (const kind of KINDS.filter(({ plural }) => RESOURCES.includes(plural))) {
    const path = pathOf({ ...kind, namespaced: false }, '');
    count += (await stage.cluster.admin.list(path)).items.length;
    const response = await stage.cluster.admin.stream({
      path,
      headers: { accept: 'application/vnd.kubernetes.protobuf', 'accept-encoding': 'identity' },
    });
    for await (const chunk of response.body) bytes += (chunk as Buffer).length;
  }
  return { count, bytes: count === 0 ? 0 : bytes / count };
}
