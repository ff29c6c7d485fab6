import type { StreamRequest, StreamResponse } from '@shard-controller/shared/kubernetes';
import type { Clock } from '@shard-controller/shared/runtime';
import type { Upstream } from './upstream.ts';

/** An answer that takes this long means that the server, the network or this machine is busy. ms. */
const LATE_MS = 3_000;

/** When one feed was last answered, on time and late. Monotonic ms. */
export interface AnswerTimes {
  /** When a request was last answered, or given up. */
  readonly at: number;
  /** When one was that had waited for long. */
  readonly lateAt: number;
}

/** The upstream of one feed, which notes how long the API server lets it wait. */
export class TimedUpstream implements Upstream {
  readonly #upstream: Upstream;
  readonly #clock: Clock;
  answers: AnswerTimes = { at: -Infinity, lateAt: -Infinity };

  constructor(upstream: Upstream, clock: Clock) {
    this.#upstream = upstream;
    this.#clock = clock;
  }

  async stream(request: StreamRequest): Promise<StreamResponse> {
    const askedAt = this.#clock.monotonic();
    try {
      return await this.#upstream.stream(request);
    } finally {
      const at = this.#clock.monotonic();
      this.answers = { at, lateAt: at - askedAt >= LATE_MS ? at : this.answers.lateAt };
    }
  }
}
