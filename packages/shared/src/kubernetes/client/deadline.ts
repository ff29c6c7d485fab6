/** Something took longer than it may. @remedy check the load of the server, and the network. */
class DeadlineError extends Error {
  override readonly name = 'DeadlineError';
  readonly code = 'SC_DEADLINE';
}

/** A caller's signal and a time limit as one signal. Dispose it, or its timer lives on. */
export class Deadline implements Disposable {
  readonly #controller = new AbortController();
  readonly #timer: NodeJS.Timeout;
  readonly #outer: AbortSignal | undefined;
  readonly #endsAt: number;
  #expired = false;
  readonly #follow = (): void => this.#controller.abort(this.#outer?.reason);

  constructor(ms: number, outer: AbortSignal | undefined) {
    this.#outer = outer;
    this.#endsAt = performance.now() + ms;
    this.#timer = setTimeout(() => {
      this.#expired = true;
      this.#controller.abort(new DeadlineError(`not finished within ${ms} ms`));
    }, ms);
    if (outer?.aborted === true) this.#follow();
    else outer?.addEventListener('abort', this.#follow, { once: true });
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Whether the time limit, not the caller, ended it. */
  get expired(): boolean {
    return this.#expired;
  }

  remainingMs(): number {
    return this.#endsAt - performance.now();
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
    this.#outer?.removeEventListener('abort', this.#follow);
  }
}
