/**
 * Bounds the scrapes that run at the same time. Who comes first is served first; who waits is bounded by the number of
 * connections.
 */
export class ScrapeTurns {
  readonly #limit: number;
  #running = 0;
  #waiting: (() => void)[] = [];

  constructor(limit: number) {
    this.#limit = limit;
  }

  get running(): number {
    return this.#running;
  }

  /**
   * Resolves true when it is the caller's turn, who then calls `leave` once; false after `ms` or when `signal` aborts.
   */
  async enter(ms: number, signal: AbortSignal): Promise<boolean> {
    if (signal.aborted) return false;
    if (this.#running < this.#limit) {
      this.#running++;
      return true;
    }
    return await new Promise((resolve) => {
      const finish = (mine: boolean): void => {
        clearTimeout(timer);
        signal.removeEventListener('abort', giveUp);
        resolve(mine);
      };
      const take = (): void => finish(true);
      const giveUp = (): void => {
        this.#waiting = this.#waiting.filter((other) => other !== take);
        finish(false);
      };
      const timer = setTimeout(giveUp, ms);
      signal.addEventListener('abort', giveUp, { once: true });
      this.#waiting.push(take);
    });
  }

  /** Hands the turn to who has waited longest. */
  leave(): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#running--;
    else next();
  }
}
