/** Full-jitter exponential backoff: each wait is uniform in [0, min(cap, base * 2^n)). ms. */
export class Backoff {
  readonly #baseMs: number;
  readonly #capMs: number;
  readonly #random: () => number;
  #attempt = 0;

  constructor(random: () => number, baseMs = 50, capMs = 2_000) {
    this.#random = random;
    this.#baseMs = baseMs;
    this.#capMs = capMs;
  }

  /** The next wait, ms. */
  next(): number {
    const bound = Math.min(this.#capMs, this.#baseMs * 2 ** Math.min(this.#attempt, 20));
    this.#attempt++;
    return this.#random() * bound;
  }

  reset(): void {
    this.#attempt = 0;
  }
}
