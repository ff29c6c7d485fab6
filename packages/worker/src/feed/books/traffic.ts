/** Frames and their bytes: read from the API server, and written to the exporter. */
export interface FeedTraffic {
  readonly received: number;
  readonly receivedBytes: number;
  readonly kept: number;
  readonly keptBytes: number;
}

/** Counts what goes through a feed. */
export class TrafficCount {
  #received = 0;
  #receivedBytes = 0;
  #kept = 0;
  #keptBytes = 0;

  received(bytes: number): void {
    this.#received++;
    this.#receivedBytes += bytes;
  }

  kept(bytes: number): void {
    this.#kept++;
    this.#keptBytes += bytes;
  }

  /** What came and went since the last time. */
  take(): FeedTraffic {
    const traffic = {
      received: this.#received,
      receivedBytes: this.#receivedBytes,
      kept: this.#kept,
      keptBytes: this.#keptBytes,
    };
    this.#received = 0;
    this.#receivedBytes = 0;
    this.#kept = 0;
    this.#keptBytes = 0;
    return traffic;
  }
}
