import { elapse, PATIENCE_MS } from '@shard-controller/shared/testing';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Churn, Random } from '../workload/index.ts';
import { FAULT_NAMES, type FaultName, makeFault } from './faults.ts';
import { FaultFleet } from './fleet.ts';

/**
 * Where the causes show in the worker's metrics: `<counter> <cause>`, one of them at least. A fault that is no failure
 * has none.
 */
const SHOWN_AS: Readonly<Record<FaultName, readonly string[]>> = {
  reset: ['reconnects connection'],
  'end-at-once': ['reconnects short-watch'],
  'end-in-frame': ['reconnects truncated'],
  'no-answer': ['reconnects timeout', 'reconnects connection'],
  refused: ['reconnects connection'],
  'throttled-seconds': ['reconnects throttled'],
  'throttled-date': ['reconnects throttled'],
  'error-500': ['reconnects server-error'],
  'error-502': ['reconnects server-error'],
  'error-503': ['reconnects server-error'],
  'error-504': ['reconnects timeout'],
  'expired-answer': ['relists expired'],
  'expired-event': ['relists expired'],
  'error-event': ['reconnects server-error', 'reconnects timeout', 'reconnects throttled'],
  'expired-continue': ['load_failures gone'],
  'no-watch-list': [],
  'truncated-frame': ['reconnects malformed', 'reconnects truncated'],
  'garbled-frame': ['reconnects malformed'],
  'unknown-event': ['reconnects malformed'],
  trickle: [],
  'half-open': ['reconnects connection'],
  'token-expired': ['reconnects unauthorized'],
  'authority-rotated': ['reconnects tls'],
  duplicates: [],
  'no-bookmarks': [],
};

// Its slots are spread evenly, so that each worker has enough of everything for lists of several pages.
let fleet: FaultFleet | undefined;

beforeAll(async () => {
  fleet = await FaultFleet.start(1);
});
afterAll(async () => {
  await fleet?.stop();
});

describe('each cause shows in a metric, and is no dead end', () => {
  const causes = FAULT_NAMES.filter((name) => SHOWN_AS[name].length > 0);

  test.each(causes)('%s', async (name) => {
    if (fleet === undefined) throw new Error('the fleet did not start');
    const [worker] = fleet.workers;
    const counted = async (): Promise<number> => {
      let sum = 0;
      for (const shown of SHOWN_AS[name]) {
        const [counter, cause] = shown.split(' ') as ['relists' | 'reconnects' | 'load_failures', string];
        sum += (await worker.causes(counter)).get(cause) ?? 0;
      }
      return sum;
    };
    const before = await counted();
    const stop = new AbortController();
    const churning = new Churn(fleet.workload, 60, 0).run(stop.signal);
    const { credentials, front } = worker;
    const fault = makeFault(name, { random: new Random(7), share: 1, credentials });
    try {
      await front.inject(fault);
      // What only shows when it is broken in the end is ended first.
      const showsAtEnd = name === 'half-open';
      const deadline = performance.now() + (showsAtEnd ? 300 : PATIENCE_MS);
      while (performance.now() < deadline && (await counted()) <= before) await elapse(50);
    } finally {
      await front.lift(fault);
    }
    try {
      await expect.poll(counted).toBeGreaterThan(before);
    } finally {
      stop.abort();
      await churning;
    }
    await expect.poll(() => fleet?.difference(), { interval: 100 }).toBeUndefined();
  });
});
