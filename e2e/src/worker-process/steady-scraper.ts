import { setTimeout as sleep } from 'node:timers/promises';

export interface ScrapeReport {
  readonly scrapes: number;
  /** Scrapes that were refused, broken off or not answered in time: what came instead of 200, and when. */
  readonly failed: readonly string[];
  /** Most of the expected series that were missing in a scrape that was answered, and some of those. */
  readonly missingMax: number;
  readonly missing: readonly string[];
  /** Scrapes in which some were missing. */
  readonly partial: number;
  /** The longest answer, ms. */
  readonly longestMs: number;
}

export interface SteadyScraperOptions {
  readonly url: string;
  /** Samples that every scrape has to show. */
  readonly expected: ReadonlySet<string>;
  readonly intervalMs: number;
  /** The time-out that is announced, as Prometheus does, and kept. */
  readonly timeoutMs: number;
}

/** Scrapes one target on time, however long the scrapes before take. */
export class SteadyScraper {
  readonly #options: SteadyScraperOptions;
  readonly #stop = new AbortController();
  readonly #scrapes: Promise<void>[] = [];
  readonly #failed: string[] = [];
  readonly #startedAt = performance.now();
  readonly #done: Promise<void>;
  #missing: readonly string[] = [];
  #missingMax = 0;
  #partial = 0;
  #longestMs = 0;

  constructor(options: SteadyScraperOptions) {
    this.#options = options;
    this.#done = this.#run();
  }

  /** Begins no more scrapes, and waits for those in progress. */
  async stop(): Promise<ScrapeReport> {
    this.#stop.abort();
    await this.#done;
    await Promise.all(this.#scrapes);
    return {
      scrapes: this.#scrapes.length,
      failed: this.#failed,
      missingMax: this.#missingMax,
      missing: this.#missing,
      partial: this.#partial,
      longestMs: Math.round(this.#longestMs),
    };
  }

  async #run(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      this.#scrapes.push(this.#scrape());
      await sleep(this.#options.intervalMs, undefined, { signal: this.#stop.signal }).catch(() => undefined);
    }
  }

  async #scrape(): Promise<void> {
    const { url, timeoutMs, expected } = this.#options;
    const began = performance.now();
    try {
      const headers = { 'x-prometheus-scrape-timeout-seconds': String(timeoutMs / 1000), connection: 'close' };
      const answer = await fetch(url, { headers, signal: AbortSignal.timeout(timeoutMs) });
      const text = await answer.text();
      if (answer.status !== 200) this.#fail(began, `${answer.status} ${text.trim()}`);
      else this.#compare(new Set(text.split('\n')), expected);
    } catch (error) {
      this.#fail(began, error instanceof Error ? error.message : String(error));
    }
    this.#longestMs = Math.max(this.#longestMs, performance.now() - began);
  }

  #compare(shown: ReadonlySet<string>, expected: ReadonlySet<string>): void {
    const missing = [...expected].filter((line) => !shown.has(line));
    if (missing.length > 0) this.#partial++;
    if (missing.length <= this.#missingMax) return;
    this.#missingMax = missing.length;
    this.#missing = missing.slice(0, 5);
  }

  #fail(began: number, what: string): void {
    const at = Math.round(began - this.#startedAt);
    this.#failed.push(`at ${at} ms, after ${Math.round(performance.now() - began)} ms: ${what}`);
  }
}
