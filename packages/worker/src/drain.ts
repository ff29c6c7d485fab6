import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Logger } from '@shard-controller/shared/observability';
import type { Clock } from '@shard-controller/shared/runtime';
import { ChangeNotifier } from './change-notifier.ts';

export interface DrainOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  /** Longest time from `begin` to the end, ms. */
  readonly timeoutMs: number;
  /** Why slots still depend on this worker, or undefined when none does. */
  readonly needed: () => string | undefined;
  /** Why no worker will ever take the slots that depend on this one, or undefined as long as one may. */
  readonly over: () => string | undefined;
  /** Announces every possible change of `needed` and `over`. */
  readonly changes: ChangeNotifier;
}

/** kubelet ends the containers of a pod at the same moment, but not in the same instant. */
const NOTICE_MS = 3000;

/**
 * The end of a worker: it keeps serving until the manager has moved its slots away, no manager is left to do so, or its
 * time is over. The exporter must live as long; its container's preStop hook waits here.
 */
export class Drain {
  readonly #options: DrainOptions;
  readonly #own = new ChangeNotifier();
  #draining = false;
  #drained = false;

  constructor(options: DrainOptions) {
    this.#options = options;
  }

  /** Told to end. */
  get draining(): boolean {
    return this.#draining;
  }

  /** Calls back when the draining begins and ends. */
  onChange(listener: () => void): () => void {
    return this.#own.onChange(listener);
  }

  /** Resolves when this worker may end. */
  async run(): Promise<void> {
    const { clock, logger, timeoutMs, needed, over, changes } = this.#options;
    const mayEnd = (): boolean => needed() === undefined || over() !== undefined;
    const began = clock.monotonic();
    this.#draining = true;
    this.#own.notify();
    const first = needed();
    if (first !== undefined) logger.info({ timeoutMs }, `draining: ${first}`);
    const left = (): number => timeoutMs - (clock.monotonic() - began);
    let free = mayEnd();
    // Checked every second, too: the end must not depend on a single notice that may get lost.
    while (!free && left() > 0) free = await changes.until(mayEnd, Math.min(1000, left()));
    const ms = Math.round(clock.monotonic() - began);
    if (free && needed() === undefined) logger.info({ ms }, 'drained: no slot depends on this worker');
    else if (free)
      logger.info(
        { ms, needed: needed() },
        `stopping without a drain, because no worker can take the slots: ${over()}`,
      );
    else logger.warn({ ms, needed: needed() }, 'drain time-out: stopping although slots depend on this worker');
    this.#drained = true;
    this.#own.notify();
  }

  /**
   * Answers when the exporter may end: after the drain, or soon when no drain begins, because then kubelet restarts the
   * exporter's container alone.
   */
  readonly wait = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const gone = new AbortController();
    response.once('close', () => gone.abort());
    request.once('error', () => gone.abort());
    const began = await this.#own.until(() => this.#draining, NOTICE_MS, gone.signal);
    if (began) await this.#own.until(() => this.#drained, this.#options.timeoutMs + NOTICE_MS, gone.signal);
    if (gone.signal.aborted) return;
    response.writeHead(200, { 'content-type': 'text/plain; charset=utf-8' });
    response.end(began ? 'drained\n' : 'this worker is not terminating\n');
  };
}
