import type { Clock } from '@shard-controller/shared/runtime';
import type { Upstream } from '../upstream/index.ts';

const PROBE_MS = 5_000;
const PROBE_TIMEOUT_MS = 3_000;
/** After a probe without an answer: one lost answer is no outage. ms. */
const PROBE_AGAIN_MS = 500;

/** Asks the API server again and again whether it is there, beside what its watches say. */
export class ServerProbe {
  readonly #upstream: Upstream;
  readonly #clock: Clock;
  #answeredAt: number;

  constructor(upstream: Upstream, clock: Clock) {
    this.#upstream = upstream;
    this.#clock = clock;
    this.#answeredAt = clock.monotonic();
  }

  /** When the newest probe that got an answer was sent; monotonic ms. */
  get answeredAt(): number {
    return this.#answeredAt;
  }

  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const sentAt = this.#clock.monotonic();
      // Feeds report their own connections.
      const isAnswered = await this.#isAnswered(signal).catch(() => false);
      if (isAnswered) this.#answeredAt = sentAt;
      await this.#clock.sleep(isAnswered ? PROBE_MS : PROBE_AGAIN_MS, signal);
    }
  }

  async #isAnswered(signal: AbortSignal): Promise<boolean> {
    const response = await this.#upstream.stream({
      path: '/livez',
      signal: AbortSignal.any([signal, AbortSignal.timeout(PROBE_TIMEOUT_MS)]),
      headersTimeoutMs: PROBE_TIMEOUT_MS,
    });
    response.body.on('error', () => {}).resume();
    // A server that refuses (no permission to read /livez, too many requests) is alive.
    return response.status < 500;
  }
}
