import { UpstreamFailure } from '../../upstream/index.ts';

/** The attempts to open a feed's first watch: why the API server refuses them, and who waits for the next one. */
export class FeedOpening {
  readonly #waiters = new Set<() => void>();
  #refusal: UpstreamFailure | undefined;

  /** Why the API server refuses this feed, while it does and has never done otherwise. */
  get refusal(): UpstreamFailure | undefined {
    return this.#refusal;
  }

  /** An attempt has failed; `attempted` follows. */
  failed(error: unknown): void {
    const isRefusal = error instanceof UpstreamFailure && error.status < 500 && error.status !== 429;
    this.#refusal = isRefusal ? error : undefined;
  }

  succeeded(): void {
    this.#refusal = undefined;
    this.attempted();
  }

  /** An attempt is through: who waits for the feed looks again. */
  attempted(): void {
    for (const wake of this.#waiters) wake();
  }

  /** Resolves true when `isOpen` is, false when the server refuses the feed for good or `signal` aborts. */
  async done(isOpen: () => boolean, signal: AbortSignal): Promise<boolean> {
    while (!isOpen() && !signal.aborted) {
      if (isFinal(this.#refusal)) return false;
      await this.#nextAttempt(signal);
    }
    return isOpen();
  }

  #nextAttempt(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        this.#waiters.delete(done);
        signal.removeEventListener('abort', done);
        resolve();
      };
      this.#waiters.add(done);
      signal.addEventListener('abort', done, { once: true });
    });
  }
}

/** A missing kind is final for a request; a missing permission is not, because RBAC caches fill late. */
function isFinal(refusal: UpstreamFailure | undefined): boolean {
  if (refusal === undefined) return false;
  return refusal.status === 404 || refusal.status === 405 || refusal.status === 406;
}
