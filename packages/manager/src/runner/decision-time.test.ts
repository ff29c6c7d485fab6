import type { Clock } from '@shard-controller/shared/runtime';
import { describe, expect, it } from 'vitest';
import { DecisionTime } from './decision-time.ts';

function clockAt(wall: number): Clock & { wall: number; ran: number } {
  return {
    wall,
    ran: 5,
    now() {
      return this.wall;
    },
    monotonic() {
      return this.ran;
    },
    sleep: () => Promise.resolve(),
  };
}

describe('the time of decisions', () => {
  it.each([
    ['forward', 3_600_000],
    ['back', -3_600_000],
  ])('passes as before when the clock is set %s', (_, step) => {
    const clock = clockAt(10_000_000);
    const time = new DecisionTime(clock);
    clock.wall += step + 250;
    clock.ran += 250;
    expect(time.now()).toBe(10_000_250);
  });

  it('goes on from the newest decision of a leader whose clock was ahead', () => {
    const clock = clockAt(10_000_000);
    const time = new DecisionTime(clock);
    time.startFrom(13_600_000);
    clock.ran += 250;
    expect(time.now()).toBe(13_600_250);
  });

  it('does not go back when the log is read again after the clock was', () => {
    const clock = clockAt(10_000_000);
    const time = new DecisionTime(clock);
    clock.ran += 250;
    clock.wall -= 1_000;
    time.startFrom(0);
    expect(time.now()).toBe(10_000_250);
  });
});
