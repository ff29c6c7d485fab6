import { setTimeout as sleep } from 'node:timers/promises';
import { Churn, Random } from '../workload/index.ts';
import { type FaultName, makeFault } from './faults.ts';
import type { FaultFleet, FleetWorker } from './fleet.ts';
import { describeItem, type Item, type Schedule } from './schedule.ts';

/** Series are complete again so long after the fault's end, ms. */
const BAR_MS = 5_000;
/** The same where a worker process was away: its exporter's back-off has grown meanwhile. */
const WORKER_AWAY_BAR_MS = 35_000;
/** The same where an exporter started again: with custom resources it starts all its watches twice, 3 s apart. */
const EXPORTER_AWAY_BAR_MS = 15_000;
/** A run that is not complete by then never will be. */
const GIVE_UP_MS = 100_000;
const CHANGES_PER_SECOND = 60;

export interface RunReport {
  readonly seed: number;
  readonly items: readonly string[];
  /** From the end of the last fault until the union of the workers was the reference, ms. */
  readonly completeMs: number;
  readonly barMs: number;
  /** Scrapes during the run, and those that no gateway would answer. */
  readonly scrapes: number;
  readonly unanswered: number;
  /** Most untouched objects that one complete scrape did not show. */
  readonly steadyMissing: number;
  /** Lists that the exporters asked for although none was restarted. */
  readonly relists: number;
  /** Everything that must not be; empty for a good run. */
  readonly problems: readonly string[];
}

/** Runs one schedule on a fleet that is whole, and says what it did to it. */
export async function runSchedule(fleet: FaultFleet, schedule: Schedule): Promise<RunReport> {
  const before = fleet.workers.map((worker) => identityOf(worker));
  const churn = new Churn(fleet.workload, CHANGES_PER_SECOND, 0);
  const stopChurn = new AbortController();
  const churning = churn.run(stopChurn.signal);
  const watcher = new SteadyWatcher(fleet);
  const giveUp = AbortSignal.timeout(GIVE_UP_MS);
  const problems: string[] = [];
  const startedAt = performance.now();
  let endedAt = 0;
  const moves = new Moves(fleet, schedule.seed, giveUp);
  await Promise.all(
    schedule.items.map(async (item) => {
      await sleep(Math.max(0, item.at - (performance.now() - startedAt)));
      if (item.type === 'move') return moves.add(item);
      await perform(fleet, item);
      endedAt = Math.max(endedAt, performance.now());
    }),
  );
  stopChurn.abort();
  await churning;
  problems.push(...(await moves.finish()));
  const difference = await untilEqual(fleet, giveUp);
  const completeMs = performance.now() - (endedAt === 0 ? performance.now() : endedAt);
  if (difference !== undefined) problems.push(`never complete again: ${difference}`);
  const { scrapes, unanswered, missing } = await watcher.stop();
  // What a restart still has to do is no part of the next run.
  const restarted = fleet.workers.filter(
    (_, i) => restarts(schedule.items, i, 'restart-exporter') || restarts(schedule.items, i, 'restart-worker'),
  );
  await Promise.all(restarted.map((worker) => worker.settled()));
  const barMs = barOf(schedule.items);
  const relists = sum(fleet.workers.map((worker, i) => listsSince(worker, before[i], schedule.items)));
  problems.push(...violations(fleet, before, schedule.items));
  if (missing > 0) problems.push(`${missing} untouched objects were missing from a complete scrape`);
  return {
    seed: schedule.seed,
    items: schedule.items.map(describeItem),
    completeMs: Math.round(completeMs),
    barMs,
    scrapes,
    unanswered,
    steadyMissing: missing,
    relists,
    problems,
  };
}

async function perform(fleet: FaultFleet, item: Exclude<Item, { type: 'move' }>): Promise<void> {
  if (item.type === 'restart-api-server') {
    if (item.how === 'SIGKILL') await fleet.fixture.apiServer.kill();
    return await fleet.fixture.apiServer.restart();
  }
  const worker = fleet.workers[item.worker];
  const { front, pod, credentials } = worker;
  if (item.type === 'restart-exporter') {
    await pod.killExporter();
    pod.startExporter();
    return;
  }
  if (item.type === 'restart-worker') {
    await pod.worker.kill();
    await sleep(item.away);
    pod.startWorker();
    return;
  }
  const fault = makeFault(item.fault, { random: new Random(item.seed), share: item.share, credentials });
  await front.inject(fault);
  await sleep(item.lasts);
  await front.lift(fault);
  if (CORRUPTING.has(item.fault)) worker.corruptedAt = performance.now();
}

/** The moves of a run, one after the other, as one manager makes them. */
class Moves {
  readonly #fleet: FaultFleet;
  readonly #seed: number;
  readonly #giveUp: AbortSignal;
  #queue: Promise<void> = Promise.resolve();
  #problems: string[] = [];
  #count = 0;

  constructor(fleet: FaultFleet, seed: number, giveUp: AbortSignal) {
    this.#fleet = fleet;
    this.#seed = seed;
    this.#giveUp = giveUp;
  }

  add({ from, slots, reversedAfter }: Extract<Item, { type: 'move' }>): void {
    const migration = `m-${this.#seed}-${this.#count++}`;
    this.#queue = this.#queue.then(async () => {
      const reversal = reversedAfter === undefined ? new AbortController().signal : AbortSignal.timeout(reversedAfter);
      try {
        await this.#fleet.move(migration, from, slots, reversal, this.#giveUp);
      } catch (error) {
        this.#problems.push(`move ${migration} did not end: ${String(error)}`);
      }
    });
  }

  async finish(): Promise<readonly string[]> {
    await this.#queue;
    return this.#problems;
  }
}

/** Scrapes all the time, and remembers the most untouched objects that a complete scrape did not show. */
class SteadyWatcher {
  readonly #stop = new AbortController();
  readonly #done: Promise<void>;
  #scrapes = 0;
  #unanswered = 0;
  #missing = 0;

  constructor(fleet: FaultFleet) {
    this.#done = this.#watch(fleet);
  }

  async stop(): Promise<{ scrapes: number; unanswered: number; missing: number }> {
    this.#stop.abort();
    await this.#done;
    return { scrapes: this.#scrapes, unanswered: this.#unanswered, missing: this.#missing };
  }

  async #watch(fleet: FaultFleet): Promise<void> {
    while (!this.#stop.signal.aborted) {
      const missing = await fleet.steadyMissing();
      this.#scrapes++;
      if (missing === undefined) this.#unanswered++;
      else this.#missing = Math.max(this.#missing, missing);
      await sleep(200);
    }
  }
}

async function untilEqual(fleet: FaultFleet, giveUp: AbortSignal): Promise<string | undefined> {
  for (;;) {
    const difference = await fleet.difference();
    if (difference === undefined || giveUp.aborted) return difference;
    await sleep(50);
  }
}

/**
 * A wrong byte within an object is not to be seen without decoding it, which is the exporter's work: client-go gives such
 * a watch up and lists again, after a back-off of up to 30 s. Behind TLS only a broken server can do that.
 */
const CORRUPTING: ReadonlySet<FaultName> = new Set<FaultName>(['truncated-frame', 'garbled-frame']);
const CORRUPTION_SHOWS_MS = 45_000;

interface Identity {
  readonly exporterPid: number | undefined;
  readonly workerPid: number;
  readonly lists: number;
}

function identityOf(worker: FleetWorker): Identity {
  return { exporterPid: worker.pod.exporterPid, workerPid: worker.pod.worker.pid, lists: worker.exporterLists() };
}

function restarts(items: readonly Item[], index: number, type: 'restart-worker' | 'restart-exporter'): boolean {
  return items.some((item) => item.type === type && item.worker === index);
}

function listsSince(worker: FleetWorker, before: Identity | undefined, items: readonly Item[]): number {
  const index = Number(worker.shardId.slice(-1));
  return restarts(items, index, 'restart-exporter') ? 0 : worker.exporterLists() - (before?.lists ?? 0);
}

/** What must not have happened to the processes. */
function violations(fleet: FaultFleet, before: readonly Identity[], items: readonly Item[]): string[] {
  return fleet.workers.flatMap((worker, i) => {
    const was = before[i] as Identity;
    const now = identityOf(worker);
    const found: string[] = [];
    if (!restarts(items, i, 'restart-exporter')) {
      if (now.exporterPid !== was.exporterPid) found.push(`the exporter of worker ${i} was restarted`);
      const isCorrupted = performance.now() - worker.corruptedAt < CORRUPTION_SHOWS_MS;
      if (now.lists !== was.lists && !isCorrupted)
        found.push(`the exporter of worker ${i} listed ${now.lists - was.lists} times`);
    }
    const isAlive = worker.pod.worker.running;
    if (!isAlive || (!restarts(items, i, 'restart-worker') && now.workerPid !== was.workerPid))
      found.push(`worker ${i} ended by itself`);
    return found;
  });
}

function barOf(items: readonly Item[]): number {
  if (items.some(({ type }) => type === 'restart-worker')) return WORKER_AWAY_BAR_MS;
  return items.some(({ type }) => type === 'restart-exporter') ? EXPORTER_AWAY_BAR_MS : BAR_MS;
}

const sum = (numbers: readonly number[]): number => numbers.reduce((total, number) => total + number, 0);

/** One line of a report, its schedule below when something was wrong. */
export function describeRun(report: RunReport): string {
  const { seed, completeMs, barMs, scrapes, unanswered, relists, problems, items } = report;
  const late = completeMs > barMs ? `, later than ${barMs / 1_000} s` : '';
  const head =
    `seed ${seed}: complete ${completeMs} ms after the end of the faults${late}; ` +
    `${scrapes} scrapes, ${unanswered} of them refused; ${relists} relists`;
  if (problems.length === 0 && late === '') return head;
  return [head, ...items.map((item) => `  ${item}`), ...problems.map((problem) => `  PROBLEM ${problem}`)].join('\n');
}

/** The command that runs one seed again. */
export const reproduction = (seed: number): string => `make faults SEED=${seed}`;
