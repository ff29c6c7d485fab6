import { KINDS, pathOf } from '../workload/index.ts';
import { type Pushdown, ShardController } from './contestants/shard-controller.ts';
import { ProcessBook } from './process-book.ts';
import { pause, type Stage, until } from './stage.ts';
import { sum } from './statistics.ts';

/** What moving a few objects costs the API server. */
export interface MoveFigures {
  readonly pushdown: Pushdown;
  readonly objects: number;
  /** Migrations that they came in. */
  readonly migrations: number;
  /** Mean size of an object, as a list holds it: protobuf, or JSON where a kind has no other. */
  readonly objectBytes: number;
  /** Read by all targets during the moves, less what they read when nothing moves. */
  readonly bytes: number;
  readonly ms: number;
}

/** A small part of all objects, so that each migration moves fewer than 500, up to 40,000 objects in all. */
const RESOURCES: readonly string[] = ['deployments', 'replicasets', 'services'];
/** Exported as well, by the custom-resource-state configuration that all contestants have. */
const CUSTOM = 'widgets';
const SHARDS = 4;
const IDLE_MS = 4000;
/** kube-state-metrics lists everything once more when it has found the custom resource: that is a start's, not a move's. */
const IDLE_SHARE = 0.05;
const READY_MS = 180_000;

/**
 * Four shards that export four small kinds become three: each of the three takes over a twelfth of the objects, over
 * feeds that it has had open all the time. Without churn, so that what the targets read is read for the moves.
 */
export async function measureMoves(stage: Stage, pushdown: Pushdown): Promise<MoveFigures> {
  const contestant = new ShardController(stage, `bench-moves-${pushdown}`, {
    shards: SHARDS,
    resources: RESOURCES,
    pushdown,
  });
  const book = new ProcessBook(stage, contestant);
  const ending = new AbortController();
  const running = book.run(ending.signal);
  try {
    await contestant.start();
    await until('four shards', READY_MS, () => contestant.ready());
    const { count, bytes: objectBytes } = await sizes(stage);
    const { bytes: before, perMs } = await idle(book);
    const start = performance.now();
    await contestant.scale(SHARDS - 1);
    await until('three shards', READY_MS, () => contestant.ready());
    const ms = performance.now() - start;
    const bytes = (await bytesRead(book)) - before - perMs * ms;
    return { pushdown, objects: Math.round(count / SHARDS), migrations: SHARDS - 1, objectBytes, bytes, ms };
  } finally {
    ending.abort();
    await running;
    await contestant.remove();
  }
}

/** Waits until the targets read next to nothing. Resolves to what they have read, and to their rate then. */
async function idle(book: ProcessBook): Promise<{ readonly bytes: number; readonly perMs: number }> {
  let before = await bytesRead(book);
  for (const end = performance.now() + READY_MS; ; ) {
    const start = performance.now();
    await pause(IDLE_MS);
    const bytes = await bytesRead(book);
    if (bytes - before <= IDLE_SHARE * bytes) return { bytes, perMs: (bytes - before) / (performance.now() - start) };
    if (performance.now() > end) throw new Error(`the targets still read ${bytes - before} bytes in ${IDLE_MS} ms`);
    before = bytes;
  }
}

/** Bytes that the workers which stay have read, together. */
async function bytesRead(book: ProcessBook): Promise<number> {
  const figures = await book.figures();
  const staying = figures.filter(({ pod }) => !pod.endsWith(`-${SHARDS - 1}`));
  return sum(staying.flatMap(({ apiBytes }) => apiBytes ?? []));
}

/** Objects of the kinds, and their mean size in a list. */
async function sizes(stage: Stage): Promise<{ readonly count: number; readonly bytes: number }> {
  let count = 0;
  let bytes = 0;
  for (const kind of KINDS.filter(({ plural }) => plural === CUSTOM || RESOURCES.includes(plural))) {
    const path = pathOf({ ...kind, namespaced: false }, '');
    count += (await stage.cluster.admin.list(path)).items.length;
    const accept = 'application/vnd.kubernetes.protobuf,application/json';
    const response = await stage.cluster.admin.stream({ path, headers: { accept, 'accept-encoding': 'identity' } });
    for await (const chunk of response.body) bytes += (chunk as Buffer).length;
  }
  return { count, bytes: count === 0 ? 0 : bytes / count };
}
