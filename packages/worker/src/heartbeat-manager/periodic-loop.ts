import type { Clock } from '@shard-controller/shared/runtime';

export interface PeriodicLoopOptions {
  readonly clock: Clock;
  /** Time between two beats when nothing changes, ms; asked after each. */
  readonly intervalMs: () => number;
  /** Least time between two beats, ms: changes that come in a burst share one. */
  readonly minGapMs: number;
  /** Does not reject. */
  readonly beat: () => Promise<void> | void;
}

/** Calls `beat` at a steady interval, and at once when something has changed. */
export class PeriodicLoop {
  readonly #options: PeriodicLoopOptions;
  #changed = false;
  #wake: AbortController | undefined;

  constructor(options: PeriodicLoopOptions) {
    this.#options = options;
  }

  /** Something changed: beat as soon as the least gap allows. */
  readonly trigger = (): void => {
    this.#changed = true;
    this.#wake?.abort();
  };

  async run(signal: AbortSignal): Promise<void> {
    const { clock, intervalMs, minGapMs, beat } = this.#options;
    while (!signal.aborted) {
      this.#changed = false;
      const at = clock.monotonic();
      await beat();
      await clock.sleep(Math.max(0, minGapMs - (clock.monotonic() - at)), signal);
      const rest = intervalMs() - (clock.monotonic() - at);
      if (!this.#changed && rest > 0) await this.#sleepUnlessTriggered(rest, signal);
    }
  }

  async #sleepUnlessTriggered(ms: number, signal: AbortSignal): Promise<void> {
    const wake = new AbortController();
    this.#wake = wake;
    await this.#options.clock.sleep(ms, AbortSignal.any([signal, wake.signal]));
    this.#wake = undefined;
  }
}
