import type { Clock } from '@shard-controller/shared/runtime';

/**
 * The time that decisions are made at, ms since the epoch. It never goes back, and a clock that is set does not move it:
 * else deadlines, waits and back-offs of the log would end too soon, or, after a step back, or under a leader whose clock
 * is behind the former one's, hours too late.
 */
export class DecisionTime {
  readonly #clock: Clock;
  #from: number;
  #at: number;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#from = clock.now();
    this.#at = clock.monotonic();
  }

  /** Begins again with the wall clock, but not before `newest`, the time of the newest decision, nor before `now()`. */
  startFrom(newest: number): void {
    this.#from = Math.max(this.#clock.now(), newest, this.now());
    this.#at = this.#clock.monotonic();
  }

  now(): number {
    return Math.round(this.#from + this.#clock.monotonic() - this.#at);
  }
}
