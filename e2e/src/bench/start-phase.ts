import { KubernetesError } from '@shard-controller/shared/kubernetes';
import { type Contestant, metricsUrl } from './contestants/contestant.ts';
import type { ProcessBook, ProcessFigures } from './process-book.ts';
import { countSeries } from './scrape.ts';
import { pause } from './stage.ts';
import { sum } from './statistics.ts';

export interface StartFigures {
  /** From the creation of its objects in the API to the end of the first scrape that showed everything, ms. */
  readonly completeMs: number;
  readonly series: number;
  readonly expositionMiB: number;
  /** As it was when the last target began to answer the scrape that showed everything. */
  readonly processes: readonly ProcessFigures[];
}

export interface StartOptions {
  /** Series that a complete scrape has, at this moment; undefined when there is nothing to compare with. */
  readonly expected: () => Promise<number | undefined>;
  readonly withinMs: number;
}

/** The arm's own pods come and go in the exposition while it starts; nothing else changes. */
const COMPLETE = 0.999;
const LOOK_EVERY_MS = 50;
const QUIET_MS = 400;
const GROWTH_MS = 1500;
/** Cores that all processes together use at most when nothing is left to do. */
const QUIET_CORES = 0.08;

/**
 * Starts a contestant and waits for its first complete scrape. One that cannot say when it is complete is scraped once
 * its processes have nothing to do: scraping it all the time would cost it CPU that is not its start's. Its time is
 * then the moment at which it became quiet, plus the time of the scrape.
 */
export async function measureStart(
  contestant: Contestant,
  book: ProcessBook,
  options: StartOptions,
): Promise<StartFigures> {
  const start = performance.now();
  await contestant.start();
  for (;;) {
    const since = await settled(contestant, book, start + options.withinMs);
    const scraped = performance.now();
    let figures: Promise<readonly ProcessFigures[]> = Promise.resolve([]);
    const { series, bytes } = await scrapeAll(contestant, () => {
      figures = book.figures();
    });
    const processes = await figures;
    const scrapeMs = performance.now() - scraped;
    const expected = (await options.expected()) ?? (await laterSeries(contestant));
    if (series > 0 && series >= COMPLETE * expected) {
      return { completeMs: since - start + scrapeMs, series, expositionMiB: bytes / 1024 / 1024, processes };
    }
    if (performance.now() > start + options.withinMs) {
      throw new Error(`${contestant.name}: ${series} of ${expected} series after ${options.withinMs / 1000} s`);
    }
  }
}

/** Series a while later: without anything to compare with, complete is what no longer grows. */
async function laterSeries(contestant: Contestant): Promise<number> {
  await pause(GROWTH_MS);
  return (await scrapeAll(contestant)).series;
}

/** Series and bytes of all targets together; nothing when one of them did not answer in full. */
async function scrapeAll(
  contestant: Contestant,
  begun?: () => void,
): Promise<{ readonly series: number; readonly bytes: number }> {
  const pods = await contestant.pods();
  const scrapes = await Promise.all(pods.map(({ ip }) => countSeries(metricsUrl(ip ?? 'unknown'), begun)));
  if (scrapes.includes(undefined)) return { series: 0, bytes: 0 };
  return { series: sum(scrapes.map((s) => s?.series ?? 0)), bytes: sum(scrapes.map((s) => s?.bytes ?? 0)) };
}

/** Resolves with the time since when it has been so. */
async function settled(contestant: Contestant, book: ProcessBook, deadline: number): Promise<number> {
  let quietSince = performance.now();
  let cpuMs = book.cpuMs();
  for (;;) {
    await pause(LOOK_EVERY_MS);
    const now = performance.now();
    const used = book.cpuMs();
    const isQuiet = used - cpuMs <= QUIET_CORES * Math.max(now - quietSince, QUIET_MS);
    if (!isQuiet || book.processes.length === 0) [quietSince, cpuMs] = [now, used];
    const mayBeDone = contestant.knowsWhenComplete || now - quietSince >= QUIET_MS;
    if (mayBeDone && (await isReady(contestant))) return contestant.knowsWhenComplete ? performance.now() : quietSince;
    if (now > deadline) throw new Error(`${contestant.name} did not become ready in time`);
  }
}

async function isReady(contestant: Contestant): Promise<boolean> {
  try {
    return await contestant.ready();
  } catch (error) {
    if (error instanceof KubernetesError) return false;
    throw error;
  }
}
