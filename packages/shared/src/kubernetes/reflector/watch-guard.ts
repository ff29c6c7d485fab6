import type { Readable } from 'node:stream';
import type { Clock } from '../../runtime/index.ts';
import { discard } from '../client/index.ts';

/** Ends one watch when the caller stops, when it is silent for too long, or when it is disposed. */
export class WatchGuard implements Disposable {
  readonly #controller = new AbortController();
  readonly #outer: AbortSignal;
  readonly #clock: Clock;
  readonly #silenceMs: number;
  #lastByteAt: number;
  #silent = false;
  #body: Readable | undefined;
  readonly #stop = (): void => this.#controller.abort();

  constructor(outer: AbortSignal, clock: Clock, silenceMs: number) {
    this.#outer = outer;
    this.#clock = clock;
    this.#silenceMs = silenceMs;
    this.#lastByteAt = clock.monotonic();
    if (outer.aborted) this.#stop();
    else outer.addEventListener('abort', this.#stop, { once: true });
    void this.#guard();
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Whether silence ended it. */
  get silent(): boolean {
    return this.#silent;
  }

  /** The chunks of `body`; each counts as a sign of life. */
  async *alive(body: Readable, onBytes: () => void): AsyncGenerator<Uint8Array, void> {
    this.#body = body;
    this.#lastByteAt = this.#clock.monotonic();
    onBytes();
    for await (const chunk of body) {
      if (!(chunk instanceof Uint8Array)) continue;
      this.#lastByteAt = this.#clock.monotonic();
      onBytes();
      yield chunk;
    }
  }

  [Symbol.dispose](): void {
    this.#outer.removeEventListener('abort', this.#stop);
    this.#controller.abort();
    if (this.#body !== undefined) discard({ body: this.#body });
  }

  async #guard(): Promise<void> {
    while (!this.#controller.signal.aborted) {
      const quietMs = this.#clock.monotonic() - this.#lastByteAt;
      if (quietMs >= this.#silenceMs) {
        this.#silent = true;
        this.#controller.abort();
        return;
      }
      await this.#clock.sleep(this.#silenceMs - quietMs, this.#controller.signal);
    }
  }
}
