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
