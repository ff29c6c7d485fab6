import type { Clock } from '../runtime/index.ts';

/** A clock that advances only when something sleeps: each wait is over at once, and its time has passed. */
export class SteppingClock implements Clock {
  #now = 0;

  now(): number {
    return this.#now;
  }

  monotonic(): number {
    return this.#now;
  }

  sleep(ms: number): Promise<void> {
    this.#now += ms;
    return Promise.resolve();
  }
}
