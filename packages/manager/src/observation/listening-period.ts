import type { Clock } from '@shard-controller/shared/runtime';

const BEAT_MS = 250;
/** A beat that is later than this means that the process stalled and could not hear. */
const STALL_MS = 1_000;

/**
 * Since when this manager has been able to hear its workers without a break. Silence before that is no evidence: it
 * starts again when the connection to NATS comes (back), when leadership begins, and after a stall of the own process.
 */
export class ListeningPeriod {
  readonly #clock: Clock;
  #since: number;
  #beatAt: number;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#since = clock.monotonic();
    this.#beatAt = this.#since;
  }

  /** Monotonic, ms. */
  get since(): number {
    // A stall that ends right now shows here before it shows in the loop.
    this.#beat();
    return this.#since;
  }

  restart(): void {
    this.#since = this.#clock.monotonic();
    this.#beatAt = this.#since;
  }

  /** Looks for stalls until `signal` aborts; calls back with the length of each, ms. */
  async run(signal: AbortSignal, onStall: (ms: number) => void): Promise<void> {
    while (!signal.aborted) {
      await this.#clock.sleep(BEAT_MS, signal);
      const stalledMs = this.#beat();
      if (stalledMs > 0) onStall(stalledMs);
    }
  }

  #beat(): number {
    const now = this.#clock.monotonic();
    const late = now - this.#beatAt - BEAT_MS;
    this.#beatAt = now;
    if (late < STALL_MS) return 0;
    this.#since = now;
    return late;
  }
}
