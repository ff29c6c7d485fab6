import type { Clock } from '@shard-controller/shared/runtime';

export interface StallGuardOptions {
  readonly clock: Clock;
  /** A gap of more than this, ms, is a stall. */
  readonly thresholdMs?: number;
  /** How often the clocks are read, ms; much less than the threshold. */
  readonly tickMs?: number;
  /**
   * Longest time that the guard stays closed when nothing answers, ms; undefined: until something does. Asked at each
   * stall.
   */
  readonly limitMs?: () => number | undefined;
  /** One try to read the own ShardInstance consistently; rejects when there was no answer. */
  readonly confirm: (signal: AbortSignal) => Promise<void>;
  readonly onStall: (gapMs: number) => void;
  /** The guard is open again: because the read succeeded, or because the time for it was over. */
  readonly onOpen: (result: {
    readonly confirmed: boolean;
    readonly afterMs: number;
    readonly error?: unknown;
  }) => void;
}

/** Pause between two tries to confirm, ms. */
const RETRY_MS = 100;

/**
 * Notices that this process did not run for a while (frozen, starved, or the machine slept). Its slots may have gone to
 * another worker meanwhile, so what the exporter shows must not be served before the assignment was read again.
 *
 * After a freeze, waiting requests may be handled before any timer fires: a handler that is about to answer asks `closed()`,
 * which looks at the clocks itself.
 */
export class StallGuard {
  readonly #options: Required<StallGuardOptions>;
  #monotonic: number;
  #wall: number;
  #stalls = 0;
  #closed = false;
  #signal: AbortSignal | undefined;

  constructor(options: StallGuardOptions) {
    this.#options = { thresholdMs: 3000, tickMs: 250, limitMs: () => 2000, ...options };
    this.#monotonic = options.clock.monotonic();
    this.#wall = options.clock.now();
  }

  /** Whether nothing may be answered now. */
  closed(): boolean {
    this.#look();
    return this.#closed;
  }

  /** Stalls seen since the process started. */
  get stalls(): number {
    return this.#stalls;
  }

  async run(signal: AbortSignal): Promise<void> {
    this.#signal = signal;
    while (!signal.aborted) {
      this.#look();
      await this.#options.clock.sleep(this.#options.tickMs, signal);
    }
  }

  #look(): void {
    const { clock, thresholdMs, onStall } = this.#options;
    const monotonic = clock.monotonic();
    const wall = clock.now();
    const loopGap = monotonic - this.#monotonic;
    // The monotonic clock stops while a machine sleeps, the wall clock does not.
    const clockGap = Math.abs(wall - this.#wall - loopGap);
    this.#monotonic = monotonic;
    this.#wall = wall;
    const gap = Math.max(loopGap, clockGap);
    if (gap <= thresholdMs) return;
    this.#stalls += 1;
    this.#closed = true;
    onStall(gap);
    void this.#reopen(this.#stalls);
  }

  async #reopen(stall: number): Promise<void> {
    const { clock, limitMs, confirm, onOpen } = this.#options;
    const started = clock.monotonic();
    const stop = new AbortController();
    const signal = this.#signal === undefined ? stop.signal : AbortSignal.any([stop.signal, this.#signal]);
    let error: unknown;
    const tries = async (): Promise<boolean> => {
      while (!signal.aborted && stall === this.#stalls) {
        try {
          await confirm(signal);
          return true;
        } catch (cause) {
          error = cause;
          await clock.sleep(RETRY_MS, signal);
        }
      }
      return false;
    };
    const limit = limitMs();
    const timeIsUp = limit === undefined ? [] : [clock.sleep(limit, signal).then(() => false)];
    const confirmed = await Promise.race([tries(), ...timeIsUp]);
    stop.abort();
    // A later stall has its own reopening.
    if (stall !== this.#stalls) return;
    this.#closed = false;
    onOpen({ confirmed, afterMs: clock.monotonic() - started, error: confirmed ? undefined : error });
  }
}
