import type { Logger } from '../../observability/index.ts';
import { type Clock, fullJitter } from '../../runtime/index.ts';
import type { FailureCause } from '../client/index.ts';
import type { ReflectorFailure } from './reflector-failure.ts';

const BASE_BACKOFF_MS = 100;
const MAX_RETRY_AFTER_MS = 10_000;
/** After so many watches that the server refused or broke in a row, its answer to a fresh list is worth more than our position. */
const FAILED_WATCHES_BEFORE_LIST = 5;
const SILENT_WATCHES_BEFORE_LIST = 2;
const WARN_AGAIN_MS = 60_000;
/** Failures that a fresh list would meet as well. */
const POSITION_UNTOUCHED: ReadonlySet<FailureCause> = new Set([
  'connection',
  'forbidden',
  'throttled',
  'timeout',
  'tls',
  'unauthorized',
]);

export interface ReflectorRetriesOptions {
  readonly logger: Logger;
  readonly clock: Clock;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  readonly maxBackoffMs: number | undefined;
}

/** Failures of a reflector in a row: how long to wait after one, whether its position is lost, and what is logged. */
export class ReflectorRetries {
  readonly #options: ReflectorRetriesOptions;
  /** Failures since the last progress. */
  #attempt = 0;
  #failedWatches = 0;
  #silentWatches = 0;
  #warned: { readonly cause: FailureCause; readonly at: number } | undefined;

  constructor(options: ReflectorRetriesOptions) {
    this.#options = options;
  }

  /** A watch has brought something. */
  progress(): void {
    if (this.#warned !== undefined) this.#options.logger.info({ after: this.#warned.cause }, 'watching again');
    this.#warned = undefined;
    this.#attempt = 0;
    this.#failedWatches = 0;
    this.#silentWatches = 0;
  }

  /** A list was complete. */
  listed(): void {
    this.#failedWatches = 0;
  }

  /** Counts a failure; the time to wait is in ms. */
  failed(
    failure: ReflectorFailure,
    wasWatching: boolean,
  ): { readonly waitMs: number; readonly isPositionLost: boolean } {
    const cause = failure.failure;
    this.#warn(failure);
    if (wasWatching && !POSITION_UNTOUCHED.has(cause)) this.#failedWatches += 1;
    this.#silentWatches = cause === 'silent' ? this.#silentWatches + 1 : 0;
    const isPositionLost =
      cause === 'gone' ||
      cause === 'went-back' ||
      this.#failedWatches >= FAILED_WATCHES_BEFORE_LIST ||
      this.#silentWatches >= SILENT_WATCHES_BEFORE_LIST;
    if (isPositionLost) this.#silentWatches = 0;
    const attempt = this.#attempt;
    this.#attempt += 1;
    const capMs = this.#options.maxBackoffMs ?? 2_000;
    const jittered = fullJitter(attempt, { baseMs: BASE_BACKOFF_MS, capMs }, this.#options.random);
    return { waitMs: Math.max(jittered, Math.min(failure.retryAfterMs ?? 0, MAX_RETRY_AFTER_MS)), isPositionLost };
  }

  /** One line when trouble begins, changes its cause, or continues for another minute. */
  #warn(failure: ReflectorFailure): void {
    const { logger, clock } = this.#options;
    const now = clock.monotonic();
    const known = this.#warned;
    if (known !== undefined && known.cause === failure.failure && now - known.at < WARN_AGAIN_MS) return;
    // An expired position is everyday life, and a relist is not a problem.
    const level = failure.failure === 'gone' ? 'info' : 'warn';
    logger[level]({ cause: failure.failure, reason: failure.message }, 'a list or watch failed; retrying');
    this.#warned = { cause: failure.failure, at: now };
  }
}
