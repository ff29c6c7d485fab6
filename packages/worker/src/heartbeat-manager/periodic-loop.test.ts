import { ManualClock } from '@shard-controller/shared/testing';
import { describe, expect, it } from 'vitest';
import { PeriodicLoop } from './periodic-loop.ts';

function started() {
  const clock = new ManualClock();
  const start = clock.monotonic();
  const beats: number[] = [];
  const loop = new PeriodicLoop({
    clock,
    intervalMs: () => 1000,
    minGapMs: 50,
    beat: () => void beats.push(clock.monotonic() - start),
  });
  const stop = new AbortController();
  const done = loop.run(stop.signal);
  return { clock, beats, loop, end: async () => (stop.abort(), await done) };
}

describe('the loop', () => {
  it('beats every second without a reason', async () => {
    const { clock, beats, end } = started();
    await clock.advance(3500);
    expect(beats).toEqual([0, 1000, 2000, 3000]);
    await end();
  });

  it('beats at once when something changes, and a second after that', async () => {
    const { clock, beats, loop, end } = started();
    await clock.advance(300);
    loop.trigger();
    await clock.advance(1100);
    expect(beats).toEqual([0, 300, 1300]);
    await end();
  });

  it('lets a burst of changes share a beat and loses none', async () => {
    const { clock, beats, loop, end } = started();
    await clock.advance(300);
    for (let i = 0; i < 10; i++) {
      loop.trigger();
      await clock.advance(10);
    }
    await clock.advance(200);
    expect(beats.length).toBeGreaterThanOrEqual(3);
    for (let i = 1; i < beats.length; i++) expect((beats[i] ?? 0) - (beats[i - 1] ?? 0)).toBeGreaterThanOrEqual(50);
    // The change at 390 is told by a beat that came after it.
    expect(beats.some((at) => at >= 390)).toBe(true);
    await end();
  });
});
