import { SteppingClock } from '@shard-controller/shared/testing';
import { describe, expect, it } from 'vitest';
import { ListeningPeriod } from './listening-period.ts';

describe('ListeningPeriod', () => {
  it('goes on while the process runs', async () => {
    const clock = new SteppingClock();
    const listening = new ListeningPeriod(clock);
    for (let beat = 0; beat < 20; beat += 1) {
      await clock.sleep(400);
      expect(listening.since).toBe(0);
    }
  });

  it('starts again after a stall, and shows that at once', async () => {
    const clock = new SteppingClock();
    const listening = new ListeningPeriod(clock);
    await clock.sleep(5000);
    expect(listening.since).toBe(5000);
  });

  it('starts again when the connection comes back', async () => {
    const clock = new SteppingClock();
    const listening = new ListeningPeriod(clock);
    await clock.sleep(300);
    listening.restart();
    expect(listening.since).toBe(300);
  });

  it('reports stalls with their length', async () => {
    const clock = new SteppingClock();
    const listening = new ListeningPeriod(clock);
    const stop = new AbortController();
    const stalls: number[] = [];
    await clock.sleep(3000);
    await listening.run(stop.signal, (ms) => {
      stalls.push(ms);
      stop.abort();
    });
    expect(stalls).toEqual([3000]);
  });
});
