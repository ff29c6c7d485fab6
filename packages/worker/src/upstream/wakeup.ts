/** A flag that one loop waits for and any caller raises; raised while the loop does not wait, it is remembered once. */
export class Wakeup {
  #raised = false;
  #resolve: (() => void) | undefined;

  raise(): void {
    this.#raised = true;
    this.#resolve?.();
  }

  /** Resolves at the next raise, or when `signal` aborts. */
  async wait(signal: AbortSignal): Promise<void> {
    if (!this.#raised && !signal.aborted) {
      await new Promise<void>((resolve) => {
        const done = (): void => {
          signal.removeEventListener('abort', done);
          resolve();
        };
        this.#resolve = done;
        signal.addEventListener('abort', done, { once: true });
      });
      this.#resolve = undefined;
    }
    this.#raised = false;
  }
}
