import type { Clock } from '@shard-controller/shared/runtime';

/** How the exporter uses a feed: when it asked for everything, and whether it waits. Times are monotonic ms. */
export class FeedUse {
  readonly #clock: Clock;
  /** Requests of the exporter that wait for the feed. */
  #waiting = 0;
  #idleSince: number;
  #startedAt = -Infinity;
  #startedBeforeAt = -Infinity;
  #leftAt = -Infinity;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#idleSince = clock.monotonic();
  }

  /** An exporter asks for everything: it, or a part of it, has started. */
  noteStart(): void {
    this.#startedBeforeAt = this.#startedAt;
    this.#startedAt = this.#clock.monotonic();
  }

  /** When an exporter last asked for everything. */
  get startedAt(): number {
    return this.#startedAt;
  }

  /** When it did so the time before that. */
  get startedBeforeAt(): number {
    return this.#startedBeforeAt;
  }

  /** The exporter has left a watch that was kept silent; to be reported to the feed of the CRDs. */
  noteLeft(): void {
    if (this.#leftAt <= this.#startedAt) this.#leftAt = this.#clock.monotonic();
  }

  /** When the exporter first left a watch of its newest start that had been kept silent. */
  get leftAt(): number {
    return this.#leftAt;
  }

  /** The feed is not idle although it has no watch: the exporter is about to open one. */
  noteUse(): void {
    this.#idleSince = this.#clock.monotonic();
  }

  /** When it was last in use. */
  get idleSince(): number {
    return this.#idleSince;
  }

  get isWaitedFor(): boolean {
    return this.#waiting > 0;
  }

  /** The exporter waits for the feed while `work` runs. */
  async whileWaiting<T>(work: () => Promise<T>): Promise<T> {
    this.#waiting++;
    try {
      return await work();
    } finally {
      this.#waiting--;
      // One that was refused at once has been seen by nobody.
      this.noteUse();
    }
  }
}
