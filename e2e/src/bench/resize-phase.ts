import { availableParallelism } from 'node:os';
import { type LiveFigures, VerifierProcess } from '../verifier/index.ts';
import { type Contestant, metricsUrl } from './contestants/contestant.ts';
import { NAMESPACE, type Stage, until } from './stage.ts';

/** One change of the number of shards, seen from outside. Times in ms. */
export interface ResizeFigures {
  readonly from: number;
  readonly to: number;
  /** Until the contestant was whole again. */
  readonly ms: number;
  readonly missingMax: number;
  readonly missingMs: number;
  /** Missing series times the time that they were missing, in series x s. */
  readonly missingSeriesSeconds: number;
  readonly doubledMax: number;
  readonly doubledMs: number;
  readonly doubledSeriesSeconds: number;
  readonly lateMaxMs: number;
  readonly expected: number;
  readonly ticks: number;
  readonly ticksPromised: number;
  readonly intervalMs: number;
  /** Whether the union of the targets equals the reference afterwards, without churn. */
  readonly equal: boolean;
  readonly difference: string;
  /** Some of the series that were missing or late, by name. */
  readonly samples: readonly string[];
}

const WITHIN_MS = 180_000;
/** Ticks without anything missing or doubled that end a resize. */
const CALM_TICKS = 6;

/** Resizes under churn from the first count through the others, while the verifier looks at every series. */
export async function measureResizes(
  stage: Stage,
  contestant: Contestant,
  reference: Contestant,
  counts: readonly [number, ...number[]],
): Promise<readonly ResizeFigures[]> {
  const [pod] = await reference.pods();
  const verifier = new VerifierProcess({
    server: stage.cluster.apiServerUrl,
    ca: stage.cluster.caPem,
    token: stage.cluster.adminToken,
    namespace: NAMESPACE,
    service: contestant.service,
    portName: 'http-metrics',
    referenceUrl: metricsUrl(pod?.ip ?? ''),
    cores: availableParallelism() / 4,
  });
  try {
    const before = await verifier.compare(60_000);
    if (!before.equal)
      throw new Error(`${contestant.name} does not show what the reference shows: ${before.difference}`);
    stage.churn.resume();
    await verifier.waitFor('the first ticks', (live) => live.expected > 0, 60_000);
    // Settles the verifier's interval under this load.
    await calm(verifier, 10);
    const results: ResizeFigures[] = [];
    for (const [i, to] of counts.slice(1).entries()) {
      results.push(await measureResize(stage, contestant, verifier, { from: counts[i] ?? to, to }));
    }
    return results;
  } finally {
    await stage.churn.pause();
    await verifier.stop();
  }
}

async function measureResize(
  stage: Stage,
  contestant: Contestant,
  verifier: VerifierProcess,
  { from, to }: { readonly from: number; readonly to: number },
): Promise<ResizeFigures> {
  await verifier.startPhase(`${from} -> ${to}`);
  const start = performance.now();
  await contestant.scale(to);
  await until(`${contestant.name} at ${to} shards`, WITHIN_MS, () => contestant.ready());
  await calm(verifier, CALM_TICKS);
  const ms = Math.round(performance.now() - start);
  const figures = await verifier.endPhase();
  await stage.churn.pause();
  const comparison = await verifier.compare(10_000);
  stage.churn.resume();
  return {
    from,
    to,
    ms,
    missingMax: figures.missingMax,
    missingMs: figures.missingMs,
    missingSeriesSeconds: Math.round(figures.missingSeriesMs / 1000),
    doubledMax: figures.doubledMax,
    doubledMs: figures.doubledMs,
    doubledSeriesSeconds: Math.round(figures.doubledSeriesMs / 1000),
    lateMaxMs: figures.lateMaxMs,
    expected: figures.expected,
    ticks: figures.ticks,
    ticksPromised: figures.ticksPromised,
    intervalMs: figures.intervalMs,
    equal: comparison.equal,
    difference: comparison.equal ? '' : comparison.difference,
    samples: figures.samples,
  };
}

/** Resolves after some ticks in a row in which no series was missing and none doubled. */
async function calm(verifier: VerifierProcess, ticks: number): Promise<void> {
  let calmTicks = 0;
  let missing = verifier.newest?.missingMs ?? 0;
  const isCalm = (live: LiveFigures): boolean => {
    const disturbed = live.missingMs !== missing || live.doubledNow > 0;
    missing = live.missingMs;
    calmTicks = disturbed ? 0 : calmTicks + 1;
    return calmTicks >= ticks;
  };
  await verifier.waitFor('calm', isCalm, WITHIN_MS);
}
