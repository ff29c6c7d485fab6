import { type ChildProcess, spawn } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { elapse } from '@shard-controller/shared/testing';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Exchange, Fault } from '../faults/faulty-front.ts';
import { Random } from '../workload/index.ts';
import type { WorkerRig } from './exporter-rig.ts';
import { NONE, unavailable, WorkerPair } from './worker-pair.ts';

/** The long form also stops the API server, and takes the machine's cores away from all tests that run beside it. */
const LONG = process.env['E2E_LONG'] === '1';
const SEED = Number(process.env['E2E_SEED'] ?? Date.now() % 1_000_000);
/** Longer than a kind is waited for that says nothing, while the others do. ms. */
const STILL_MS = 22_000;
/** A worker waits for 10 s for an answer: of answers that come by chance within this time, many are too late. ms. */
const LATEST_MS = 14_000;
/** So long they do. Some kinds get none for longer than one is waited for that is silent alone. ms. */
const LATE_FOR_MS = 60_000;

let pair: WorkerPair;
let left: WorkerRig;
let right: WorkerRig;

beforeAll(async () => {
  pair = await WorkerPair.start();
  ({ left, right } = pair);
});

afterAll(async () => {
  await pair?.stop();
});

/** Does `work`, and resolves with every kind that a worker left out meanwhile. */
async function leftOut(work: () => Promise<void>): Promise<string[]> {
  const seen = new Set<string>();
  const look = (rig: WorkerRig): void => unavailable(rig).forEach((each) => seen.add(each));
  const ends = [left, right].map((rig) => rig.plane.onChange(() => look(rig)));
  try {
    await work();
  } finally {
    for (const end of ends) end();
  }
  return [...seen].sort();
}

/** Lets every answer come late, each by another time; what is open goes on. */
function late(): Fault {
  const random = new Random(SEED);
  const held = new Map<Exchange, NodeJS.Timeout>();
  return {
    name: 'late',
    take: (exchange) => {
      const pass = (): void => {
        held.delete(exchange);
        exchange.forward();
      };
      held.set(exchange, setTimeout(pass, random.next() * LATEST_MS));
      return true;
    },
    end: () => {
      for (const [exchange, timer] of held) {
        clearTimeout(timer);
        exchange.forward();
      }
    },
  };
}

/** Takes the machine's cores away from all others for `ms`. */
async function starved(ms: number): Promise<void> {
  const program = `const end = Date.now() + ${ms}; while (Date.now() < end);`;
  const spinners = Array.from({ length: 4 * availableParallelism() }, () => spawn(process.execPath, ['-e', program]));
  await Promise.all(spinners.map((each: ChildProcess) => new Promise((resolve) => each.once('exit', resolve))));
}

test(`answers that come late for all kinds leave none out, seed ${SEED}`, async () => {
  const fault = late();
  const seen = await leftOut(async () => {
    await pair.front.inject(fault);
    const until = performance.now() + LATE_FOR_MS;
    while (performance.now() < until) {
      await pair.move(left, right);
      await pair.move(right, left);
    }
    await pair.front.lift(fault);
  });
  expect(seen).toEqual([]);
  await expect.poll(() => pair.difference()).toEqual(NONE);
});

test.runIf(LONG)('an API server that freezes in the middle of a move leaves no kind out', async () => {
  const seen = await leftOut(async () => {
    const lost = await pair.lost(async () => {
      const moved = await pair.move(left, right, async () => {
        await pair.api.pause();
        await elapse(STILL_MS);
        pair.api.resume();
      });
      expect(moved.without ?? 0).toBe(0);
      await pair.move(right, left);
    });
    expect(lost).toMatchObject({ missingMax: 0, examples: [] });
  });
  expect(seen).toEqual([]);
  await expect.poll(() => pair.difference()).toEqual(NONE);
});

test.runIf(LONG)('a machine without a free core leaves none out, and the one that is broken alone is', async () => {
  const seen = await leftOut(async () => {
    const starving = starved(30_000);
    await pair.move(left, right);
    await pair.move(right, left);
    await starving;
  });
  expect(seen).toEqual([]);
  await pair.grant('configmaps');
  await pair.until('the right is gone', async () => !(await pair.canList('/api/v1/configmaps')));
  expect(await pair.move(left, right)).toMatchObject({ without: 1 });
  expect(unavailable(right)).toEqual(['configmaps: forbidden']);
});
