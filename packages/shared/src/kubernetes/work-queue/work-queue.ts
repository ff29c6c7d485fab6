import type { Logger } from '../../observability/index.ts';
import { type BackoffOptions, type Clock, fullJitter, systemClock } from '../../runtime/index.ts';

export interface WorkQueueOptions {
  /** Brings the thing named `key` into its wanted state. A throw is logged and tried again after a back-off. */
  readonly process: (key: string, signal: AbortSignal) => Promise<void>;
  /** Most keys processed at the same time; the same key never is. */
  readonly concurrency: number;
  readonly backoff?: BackoffOptions;
  readonly logger: Logger;
  readonly clock?: Clock;
  /** Uniform in [0, 1). */
  readonly random?: () => number;
}

/**
 * A WorkQueue was set up or used in a way that cannot work.
 * @remedy this is a defect: report it with the log of the process.
 */
export class WorkQueueError extends Error {
  override readonly name = 'WorkQueueError';
  readonly code = 'SC_WORK_QUEUE';
}

const DEFAULT_BACKOFF: BackoffOptions = { baseMs: 100, capMs: 30_000 };

/**
 * Level-triggered work by key. A key added any number of times before its turn is processed once; one added while it is
 * processed is processed again afterwards, so that the last change is always seen. First come, first served.
 */
export class WorkQueue {
  readonly #options: WorkQueueOptions;
  readonly #clock: Clock;
  readonly #random: () => number;
  /** Waiting for a free place, in order. */
  readonly #queued = new Set<string>();
  readonly #processing = new Set<string>();
  /** Added again while processed. */
  readonly #again = new Set<string>();
  /** Monotonic due times of `addAfter`, ms. */
  readonly #delayed = new Map<string, number>();
  /** Monotonic due times of the next try after a failure, ms. */
  readonly #retries = new Map<string, number>();
  readonly #failures = new Map<string, number>();
  #wake = Promise.withResolvers<void>();
  #running = false;

  constructor(options: WorkQueueOptions) {
    if (!Number.isInteger(options.concurrency) || options.concurrency < 1) {
      throw new WorkQueueError(
        `concurrency of a WorkQueue must be a whole number of at least 1; got ${options.concurrency}`,
      );
    }
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#random = options.random ?? Math.random;
  }

  /** Keys that wait, in whatever way, plus those being processed. */
  get size(): number {
    return new Set([...this.#queued, ...this.#processing, ...this.#delayed.keys(), ...this.#retries.keys()]).size;
  }

  /** Keys that could be processed now, if there were places. */
  get depth(): number {
    return this.#queued.size + this.#again.size;
  }

  /** Asks for `key` to be processed as soon as possible, also when it waits for a retry. */
  add(key: string): void {
    if (this.#processing.has(key)) this.#again.add(key);
    else this.#queued.add(key);
    this.#wakeUp();
  }

  /** Asks for `key` to be processed in `ms`; the earliest of several such wishes counts. */
  addAfter(key: string, ms: number): void {
    if (ms <= 0) return this.add(key);
    const due = this.#clock.monotonic() + ms;
    this.#delayed.set(key, Math.min(due, this.#delayed.get(key) ?? due));
    this.#wakeUp();
  }

  /**
   * Processes keys until `signal` aborts, then waits for those in progress, whose signal is the same.
   * What still waits is kept for the next run. Throws WorkQueueError when it runs already.
   */
  async run(signal: AbortSignal): Promise<void> {
    if (this.#running) throw new WorkQueueError('this WorkQueue already runs: run it only once at a time');
    this.#running = true;
    const active = new Set<Promise<void>>();
    const onAbort = (): void => this.#wakeUp();
    signal.addEventListener('abort', onAbort, { once: true });
    while (!signal.aborted) {
      this.#promoteDue();
      while (this.#queued.size > 0 && active.size < this.#options.concurrency) {
        const done: Promise<void> = this.#processNext(signal).finally(() => {
          active.delete(done);
          this.#wakeUp();
        });
        active.add(done);
      }
      await this.#nextChange();
    }
    signal.removeEventListener('abort', onAbort);
    await Promise.all(active);
    this.#running = false;
  }

  async #processNext(signal: AbortSignal): Promise<void> {
    const [key] = this.#queued;
    if (key === undefined) return;
    this.#queued.delete(key);
    this.#retries.delete(key);
    this.#processing.add(key);
    try {
      // The caller may throw before its first await: that, too, is a failure of the key and not of the queue.
      await (async () => this.#options.process(key, signal))();
      this.#failures.delete(key);
    } catch (error) {
      if (!signal.aborted) this.#scheduleRetry(key, error);
      else this.#queued.add(key);
    }
    this.#processing.delete(key);
    if (this.#again.delete(key)) this.#queued.add(key);
  }

  #scheduleRetry(key: string, error: unknown): void {
    const failures = (this.#failures.get(key) ?? 0) + 1;
    this.#failures.set(key, failures);
    const waitMs = fullJitter(failures - 1, this.#options.backoff ?? DEFAULT_BACKOFF, this.#random);
    this.#retries.set(key, this.#clock.monotonic() + waitMs);
    this.#options.logger.warn({ err: error, key, failures, waitMs: Math.round(waitMs) }, 'work failed; retrying');
  }

  #promoteDue(): void {
    const now = this.#clock.monotonic();
    for (const waiting of [this.#delayed, this.#retries]) {
      for (const [key, due] of waiting) {
        if (due > now) continue;
        waiting.delete(key);
        if (this.#processing.has(key)) this.#again.add(key);
        else this.#queued.add(key);
      }
    }
  }

  async #nextChange(): Promise<void> {
    const wake = this.#wake;
    let due = Number.POSITIVE_INFINITY;
    for (const at of this.#delayed.values()) due = Math.min(due, at);
    for (const at of this.#retries.values()) due = Math.min(due, at);
    if (due === Number.POSITIVE_INFINITY) return wake.promise;
    const timer = new AbortController();
    await Promise.race([wake.promise, this.#clock.sleep(Math.max(0, due - this.#clock.monotonic()), timer.signal)]);
    timer.abort();
  }

  #wakeUp(): void {
    const wake = this.#wake;
    this.#wake = Promise.withResolvers<void>();
    wake.resolve();
  }
}
