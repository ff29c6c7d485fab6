import { Random } from '../workload/index.ts';
import { FAULT_NAMES, type FaultName } from './faults.ts';

/** Index of a worker of the fleet. */
export type WorkerIndex = 0 | 1;

/** Something that happens at `at` ms after the start of the run. */
export type Item =
  | {
      readonly type: 'fault';
      readonly at: number;
      readonly fault: FaultName;
      readonly worker: WorkerIndex;
      /** How long it lasts, ms. */
      readonly lasts: number;
      readonly share: number;
      /** Of the fault's own random numbers. */
      readonly seed: number;
    }
  | {
      readonly type: 'move';
      readonly at: number;
      readonly from: WorkerIndex;
      readonly slots: number;
      /** Rolled back after so many ms instead of completed, when the target has not acknowledged before. */
      readonly reversedAfter: number | undefined;
    }
  | { readonly type: 'restart-exporter'; readonly at: number; readonly worker: WorkerIndex }
  | {
      readonly type: 'restart-worker';
      readonly at: number;
      readonly worker: WorkerIndex;
      /** How long it stays away, ms. */
      readonly away: number;
    }
  | { readonly type: 'restart-api-server'; readonly at: number; readonly how: 'SIGTERM' | 'SIGKILL' };

export interface Schedule {
  readonly seed: number;
  readonly items: readonly Item[];
}

/** Faults that make the API server refuse to resume: a worker that has just started cannot make up for them. */
const EXPIRING: readonly FaultName[] = ['expired-answer', 'expired-event', 'expired-continue'];
/** Every so many seeds the API server itself is restarted: that takes seconds. */
const API_SERVER_EVERY = 40;

/** What happens in the run of a seed: the same for the same seed. Successive seeds begin with successive faults. */
export function scheduleOf(seed: number): Schedule {
  const random = new Random(seed);
  if (seed % API_SERVER_EVERY === API_SERVER_EVERY - 1) {
    const how = random.below(2) === 0 ? 'SIGTERM' : 'SIGKILL';
    return { seed, items: [{ type: 'restart-api-server', at: 300, how }, move(random)] };
  }
  const first = FAULT_NAMES[seed % FAULT_NAMES.length] as FaultName;
  const others = Array.from({ length: random.below(3) }, () => random.pick(FAULT_NAMES) as FaultName);
  const items: Item[] = [first, ...others].flatMap((fault) => faultItems(fault, random));
  const moves = random.below(3);
  for (let i = 0; i < moves; i++) items.push(move(random));
  const restart = random.below(10);
  if (restart === 0) items.push({ type: 'restart-exporter', at: random.below(1_500), worker: side(random) });
  if (restart === 1) items.push({ type: 'restart-worker', at: 200, worker: side(random), away: random.below(2_000) });
  return { seed, items: settled(items).toSorted((a, b) => a.at - b.at) };
}

function faultItems(fault: FaultName, random: Random): Item[] {
  const one = (worker: WorkerIndex): Item => ({
    type: 'fault',
    at: random.below(1_200),
    fault,
    worker,
    lasts: 300 + random.below(1_500),
    share: random.pick([0.3, 0.6, 1]) as number,
    seed: random.below(2 ** 32),
  });
  return random.below(3) === 0 ? [one(0), one(1)] : [one(side(random))];
}

function move(random: Random): Item {
  return {
    type: 'move',
    at: random.below(1_800),
    from: side(random),
    slots: 1 + random.below(48),
    reversedAfter: random.below(4) === 0 ? random.below(1_500) : undefined,
  };
}

const side = (random: Random): WorkerIndex => (random.below(2) === 0 ? 0 : 1);

/** A worker that restarts alone resumes where its exporter is: that the server still knows that position is given. */
function settled(items: readonly Item[]): Item[] {
  const restarted = items.find((item) => item.type === 'restart-worker');
  if (restarted === undefined) return [...items];
  return items.filter(
    (item) => item.type !== 'fault' || item.worker !== restarted.worker || !EXPIRING.includes(item.fault),
  );
}

/** One line per item, for the report. */
export function describeItem(item: Item): string {
  switch (item.type) {
    case 'fault':
      return `${item.at} ms: ${item.fault} at worker ${item.worker} for ${item.lasts} ms (share ${item.share})`;
    case 'move': {
      const end = item.reversedAfter === undefined ? '' : `, reversed after ${item.reversedAfter} ms`;
      return `${item.at} ms: ${item.slots} slots leave worker ${item.from}${end}`;
    }
    case 'restart-exporter':
      return `${item.at} ms: the exporter of worker ${item.worker} restarts`;
    case 'restart-worker':
      return `${item.at} ms: worker ${item.worker} is killed and away for ${item.away} ms`;
    case 'restart-api-server':
      break;
  }
  return `${item.at} ms: the API server restarts (${item.how})`;
}
