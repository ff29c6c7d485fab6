/** A time of leading. `signal` aborts when it is over. */
export interface Term {
  readonly signal: AbortSignal;
  /** Grows with every leadership, whichever manager leads. */
  readonly number: number;
}

/** Whether this process leads, and a way to wait for a change. */
export class Leadership {
  readonly #holdsLease: () => boolean;
  #term: Term | undefined;
  #standby = new AbortController();
  readonly #listeners = new Set<(leading: boolean) => void>();

  /** @param holdsLease whether the Lease is ours at the moment of the call, by the clock and not by the last notice */
  constructor(holdsLease: () => boolean) {
    this.#holdsLease = holdsLease;
  }

  /**
   * Whether this process leads right now: to be asked before anything is written. After a stall the term is over before
   * anybody could tell it.
   */
  get leads(): boolean {
    return this.term !== undefined && this.#holdsLease();
  }

  get term(): Term | undefined {
    return this.#term?.signal.aborted === true ? undefined : this.#term;
  }

  /** Aborts at the start of the next term; already aborted while leading. */
  get untilTerm(): AbortSignal {
    return this.#standby.signal;
  }

  onChange(listener: (leading: boolean) => void): void {
    this.#listeners.add(listener);
  }

  begin(signal: AbortSignal, number: number): void {
    this.#term = { signal, number };
    this.#standby.abort();
    for (const listener of this.#listeners) listener(true);
  }

  end(): void {
    this.#term = undefined;
    this.#standby = new AbortController();
    for (const listener of this.#listeners) listener(false);
  }
}
