/**
 * Tells its listeners that something they look at may be different now. Carries no content: listeners read the state
 * themselves, so that a notice which comes late or twice does no harm.
 */
export class ChangeNotifier {
  readonly #listeners = new Set<() => void>();

  readonly notify = (): void => {
    for (const listener of this.#listeners) listener();
  };

  /** Calls `listener` on every change; returns the way to stop that. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => {
      this.#listeners.delete(listener);
    };
  }

  /**
   * Resolves `true` as soon as `test` holds (at once when it already does), or `false` after `ms` or when `signal`
   * aborts. `test` runs again at each change only.
   */
  async until(test: () => boolean, ms: number, signal?: AbortSignal): Promise<boolean> {
    if (test()) return true;
    if (ms <= 0 || signal?.aborted === true) return false;
    return await new Promise((resolve) => {
      const finish = (result: boolean): void => {
        clearTimeout(timer);
        stop();
        signal?.removeEventListener('abort', onAbort);
        resolve(result);
      };
      const onAbort = (): void => finish(false);
      const timer = setTimeout(() => finish(test()), ms);
      const stop = this.onChange(() => {
        if (test()) finish(true);
      });
      signal?.addEventListener('abort', onAbort, { once: true });
    });
  }
}
