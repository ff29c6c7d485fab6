import type { Clock } from '@shard-controller/shared/runtime';
import { describe, expect, it } from 'vitest';
import { repeatProbe } from './probe.ts';
import type { Probe } from './pod.ts';

/** Runs a probe over these results, one a period, on a clock that never waits. */
async function verdicts(probe: Probe, results: readonly boolean[]): Promise<{ at: number; healthy: boolean }[]> {
  const end = new AbortController();
  const seen: { at: number; healthy: boolean }[] = [];
  let now = 0;
  let tries = 0;
  const clock: Clock = {
    now: () => now,
    monotonic: () => now,
    sleep: (ms) => {
      now += ms;
      return Promise.resolve();
    },
  };
  await repeatProbe({
    probe,
    clock,
    signal: end.signal,
    check: () => {
      const good = results[tries];
      tries += 1;
      if (good === undefined) end.abort();
      return Promise.resolve(good ? undefined : 'bad');
    },
    onVerdict: (healthy) => seen.push({ at: now, healthy }),
  });
  return seen;
}

describe('a probe', () => {
  it('fails only after failureThreshold tries in a row', async () => {
    const probe = { periodSeconds: 2, failureThreshold: 3 };
    expect(await verdicts(probe, [true, false, false, true, false, false, false])).toEqual([
      { at: 0, healthy: true },
      { at: 12_000, healthy: false },
    ]);
  });

  it('succeeds only after successThreshold tries in a row, and begins after its initial delay', async () => {
    const probe = { periodSeconds: 1, initialDelaySeconds: 5, successThreshold: 2, failureThreshold: 1 };
    expect(await verdicts(probe, [true, false, true, true])).toEqual([
      { at: 6000, healthy: false },
      { at: 8000, healthy: true },
    ]);
  });

  it("has Kubernetes' defaults: every 10 s, three failures, one success", async () => {
    expect(await verdicts({}, [false, false, false, true])).toEqual([
      { at: 20_000, healthy: false },
      { at: 30_000, healthy: true },
    ]);
  });
});
