/** Lets at most `limit` holders in; the others wait in order. */
export class Semaphore {
  readonly #limit: number;
  #held = 0;
  #waiting: (() => void)[] = [];

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Number of holders. */
  get held(): number {
    return this.#held;
  }

  /** Resolves true when it is the caller's turn, who then calls `leave` once; false after `ms` or when `signal` aborts. */
  async enter(ms = Number.POSITIVE_INFINITY, signal?: AbortSignal): Promise<boolean> {
    if (signal?.aborted === true) return false;
    if (this.#held < this.#limit) {
      this.#held++;
      return true;
    }
    return await new Promise((resolve) => {
      const finish = (isMine: boolean): void => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', giveUp);
        resolve(isMine);
      };
      const take = (): void => finish(true);
      const giveUp = (): void => {
        this.#waiting = this.#waiting.filter((other) => other !== take);
        finish(false);
      };
      const timer = Number.isFinite(ms) ? setTimeout(giveUp, ms) : undefined;
      signal?.addEventListener('abort', giveUp, { once: true });
      this.#waiting.push(take);
    });
  }

  /** Hands the turn to who has waited longest. */
  leave(): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#held--;
    else next();
  }

  async run<T>(work: () => Promise<T>): Promise<T> {
    await this.enter();
    try {
      return await work();
    } finally {
      this.leave();
    }
  }
}
