import type { Clock } from '../../runtime/index.ts';

interface Sleeper {
  readonly due: number;
  readonly wake: () => void;
}

/** A clock that stands still until a test moves it. */
export class ManualClock implements Clock {
  #time = 1_000_000;
  readonly #sleepers = new Set<Sleeper>();

  now(): number {
    return this.#time;
  }

  monotonic(): number {
    return this.#time;
  }

  async sleep(ms: number, signal?: AbortSignal): Promise<void> {
    if (signal?.aborted === true) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    const wake = (): void => resolve();
    const sleeper: Sleeper = { due: this.#time + ms, wake };
    this.#sleepers.add(sleeper);
    signal?.addEventListener('abort', wake, { once: true });
    await promise;
    signal?.removeEventListener('abort', wake);
    this.#sleepers.delete(sleeper);
  }

  /** Moves time on, waking sleepers one after the other at their time; what they start runs in between. */
  async advance(ms: number): Promise<void> {
    const end = this.#time + ms;
    await settle();
    for (;;) {
      const next = [...this.#sleepers].sort((a, b) => a.due - b.due).at(0);
      if (next === undefined || next.due > end) break;
      this.#time = Math.max(this.#time, next.due);
      this.#sleepers.delete(next);
      next.wake();
      await settle();
    }
    this.#time = end;
  }
}

/** Lets everything run that needs no time. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 5; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}
