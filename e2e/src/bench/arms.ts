import { type Contestant, metricsUrl } from './contestants/contestant.ts';
import { Autosharded, PlainExporter } from './contestants/kube-state-metrics.ts';
import { type Pushdown, ShardController } from './contestants/shard-controller.ts';
import { ProcessBook } from './process-book.ts';
import { measureResizes, type ResizeFigures } from './resize-phase.ts';
import { countSeries } from './scrape.ts';
import type { Settings } from './settings.ts';
import type { Stage } from './stage.ts';
import { measureStart, type StartFigures } from './start-phase.ts';
import { measureSteady, type SteadyFigures } from './steady-phase.ts';

/** Start and steady state of one contestant. */
export interface RunFigures {
  readonly start: StartFigures;
  readonly steady: SteadyFigures | null;
}

export interface BenchContext {
  readonly stage: Stage;
  readonly settings: Settings;
  readonly signal: AbortSignal;
  /** The unsharded kube-state-metrics that runs beside all others. */
  readonly plain: PlainExporter;
}

const SHARDS = 3;
/** Longest start of a contestant, ms. */
const START_MS = 240_000;

/** One to three series of every object: what the resizes look at, several times a second. */
const RESIZE_METRICS: readonly string[] = ['kube_.+_info', 'kube_.+_created', 'kube_.+_labels'];

/** Starts the plain one, which then stays: the others are compared with it. */
export async function runPlain(context: BenchContext, steady: boolean): Promise<RunFigures> {
  return runContestant(context, context.plain, steady);
}

export async function runAutosharded(context: BenchContext): Promise<RunFigures> {
  const contestant = new Autosharded(context.stage, 'ksm-autosharded', SHARDS);
  return removing(contestant, () => runContestant(context, contestant, true));
}

export async function runOurs(context: BenchContext, pushdown: Pushdown): Promise<RunFigures> {
  const contestant = new ShardController(context.stage, `bench-${pushdown}`, { shards: SHARDS, pushdown });
  return removing(contestant, () => runContestant(context, contestant, true));
}

/** One worker that owns every slot: its start alone. */
export async function runSingle(context: BenchContext): Promise<RunFigures> {
  const contestant = new ShardController(context.stage, 'bench-single', { shards: 1 });
  return removing(contestant, () => runContestant(context, contestant, false));
}

export async function runResize(context: BenchContext, who: 'autosharded' | 'ours'): Promise<readonly ResizeFigures[]> {
  const { stage } = context;
  const options = { metricAllowlist: RESIZE_METRICS };
  const reference = new PlainExporter(stage, 'ksm-resize-reference', options);
  const contestant =
    who === 'ours'
      ? new ShardController(stage, 'bench-resize', { shards: SHARDS, ...options })
      : new Autosharded(stage, 'ksm-resize', SHARDS, options);
  return removing(reference, async () => {
    await startBeside(context, reference, undefined);
    return removing(contestant, async () => {
      await startBeside(context, contestant, reference);
      return measureResizes(stage, contestant, reference, [SHARDS, SHARDS + 1, SHARDS]);
    });
  });
}

async function runContestant(context: BenchContext, contestant: Contestant, steady: boolean): Promise<RunFigures> {
  const { stage, settings, signal, plain } = context;
  const book = new ProcessBook(stage, contestant);
  const ending = new AbortController();
  const running = book.run(ending.signal);
  try {
    const expected = contestant === plain ? async () => undefined : async () => seriesOf(plain);
    const start = await measureStart(contestant, book, { expected, withinMs: START_MS });
    const options = { plain, seconds: settings.seconds, signal };
    return { start, steady: steady ? await measureSteady(stage, contestant, book, options) : null };
  } finally {
    ending.abort();
    await running;
  }
}

async function startBeside(
  context: BenchContext,
  contestant: Contestant,
  reference: Contestant | undefined,
): Promise<void> {
  const book = new ProcessBook(context.stage, contestant);
  const ending = new AbortController();
  const running = book.run(ending.signal);
  try {
    const expected = async () => (reference === undefined ? undefined : seriesOf(reference));
    await measureStart(contestant, book, { expected, withinMs: START_MS });
  } finally {
    ending.abort();
    await running;
  }
}

async function seriesOf(contestant: Contestant): Promise<number | undefined> {
  const [pod] = await contestant.pods();
  return pod?.ip === undefined ? undefined : (await countSeries(metricsUrl(pod.ip)))?.series;
}

async function removing<T>(contestant: Contestant, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } finally {
    await contestant.remove();
  }
}
