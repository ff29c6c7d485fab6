export interface BackoffOptions {
  /** Upper bound of the first wait, ms. */
  readonly baseMs: number;
  /** Upper bound of every wait, ms. */
  readonly capMs: number;
}

/**
 * How long to wait before try number `attempt` (0 is the first retry), ms: "full jitter", uniform between zero and an
 * exponentially growing bound, so that many clients that failed together do not return together. See Marc Brooker,
 * "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
 */
export function fullJitter(attempt: number, options: BackoffOptions, random: () => number): number {
  // 2 ** 1024 is Infinity, and the smaller bound wins: no special case for long outages.
  return random() * Math.min(options.capMs, options.baseMs * 2 ** attempt);
}

/** The waits of one loop that tries again and again: `fullJitter` with the number of failures in a row. */
export class Backoff {
  readonly #random: () => number;
  readonly #options: BackoffOptions;
  #attempt = 0;

  constructor(random: () => number, options: BackoffOptions) {
    this.#random = random;
    this.#options = options;
  }

  /** The next wait, ms. */
  next(): number {
    return fullJitter(this.#attempt++, this.#options, this.#random);
  }

  reset(): void {
    this.#attempt = 0;
  }
}
