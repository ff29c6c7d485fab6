import { discard, type StreamResponse } from '@shard-controller/shared/kubernetes';

/**
 * The watch that takes the place of the open one: it is opened while that one is still read, and once more whenever the
 * scope changes meanwhile.
 */
export class SuccessorWatch {
  readonly #open: () => Promise<StreamResponse> | undefined;
  #opening: Promise<StreamResponse | undefined> | undefined;
  #isOutdated = false;

  /** @param open opens it for the present scope; undefined when there is nothing to follow yet. */
  constructor(open: () => Promise<StreamResponse> | undefined) {
    this.#open = open;
  }

  /** The watch, while it is being opened or waits to be taken; undefined when the opening failed. */
  get opening(): Promise<StreamResponse | undefined> | undefined {
    return this.#opening;
  }

  /** The scope has changed since it was asked for. */
  get isOutdated(): boolean {
    return this.#isOutdated;
  }

  /** @param onReady called when it is open, or has failed to open: who opens the next one meets the trouble and reports it. */
  begin(onReady: () => void): void {
    this.#isOutdated = true;
    this.#opening ??= this.#prepare(onReady);
  }

  /** It was taken over. */
  taken(): void {
    this.#opening = undefined;
  }

  drop(): void {
    void this.#opening?.then((unused) => unused && discard(unused));
    this.#opening = undefined;
  }

  async #prepare(onReady: () => void): Promise<StreamResponse | undefined> {
    let response: StreamResponse | undefined;
    try {
      do {
        this.#isOutdated = false;
        if (response !== undefined) discard(response);
        response = await this.#open();
      } while (this.#isOutdated);
    } catch {
      response = undefined;
    }
    onReady();
    return response;
  }
}
