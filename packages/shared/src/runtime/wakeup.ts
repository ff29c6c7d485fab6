import { aborted } from './aborted.ts';
import type { Clock } from './clock.ts';

/** Lets one loop wait for whatever comes first: a reason to work, a time, or the end. */
export class Wakeup {
  readonly #clock: Clock;
  #due = false;
  #waiting: AbortController | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  wake(): void {
    this.#due = true;
    this.#waiting?.abort();
  }

  /** Whether it was woken since the last call; takes the wish as seen. */
  reset(): boolean {
    const due = this.#due;
    this.#due = false;
    return due;
  }

  /** Waits for `ms`, or without end; returns at once when it was woken and not reset since. */
  async wait(ms: number | undefined, signal: AbortSignal): Promise<void> {
    if (this.#due || signal.aborted) return;
    const waiting = new AbortController();
    const stop = (): void => waiting.abort();
    signal.addEventListener('abort', stop, { once: true });
    this.#waiting = waiting;
    await (ms === undefined ? aborted(waiting.signal) : this.#clock.sleep(ms, waiting.signal));
    signal.removeEventListener('abort', stop);
    this.#waiting = undefined;
  }
}
