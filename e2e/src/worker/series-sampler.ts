import type { Exporter } from './exporter-rig.ts';

/** A series without its value. */
export function seriesKey(line: string): string {
  return line.slice(0, line.lastIndexOf(' '));
}

export interface SampleReport {
  readonly samples: number;
  /** Most series missing in one sample, when, and some of them. */
  readonly missingMax: number;
  readonly examples: readonly string[];
  /** Scrapes that failed, and why. */
  readonly failures: readonly string[];
}

interface Sample {
  readonly at: number;
  missing: readonly string[];
}

/** Before and after a sample, ms: how long the reference must have shown what is expected. */
const BEFORE_MS = 2_000;
const AFTER_MS = 1_000;

/**
 * Scrapes reference and workers over and over. Expected is what every reference scrape of the 2 s before those of the
 * workers and of the second after them shows, and what a worker has shown since the reference last did not; missing is
 * what of that no worker shows. (A busy reference may hear of a deletion a moment after the workers; and what is slow is
 * late, not missing.)
 */
export class SeriesSampler {
  readonly #reference: Pick<Exporter, 'series'> | undefined;
  readonly #workers: readonly Exporter[];
  readonly #fixed: ReadonlySet<string> | undefined;
  #history: { readonly at: number; readonly keys: ReadonlySet<string> }[] = [];
  #pending: Sample[] = [];
  /** What a worker has shown for as long as the reference does. */
  readonly #known = new Set<string>();
  #running = true;
  #done: Promise<void>;
  #samples = 0;
  #missingMax = 0;
  #examples: readonly string[] = [];
  readonly #failures: string[] = [];

  /**
   * @param fixed what is expected throughout, instead of the reference's view.
   */
  constructor(
    workers: readonly Exporter[],
    reference: Pick<Exporter, 'series'> | undefined,
    fixed?: ReadonlySet<string>,
  ) {
    this.#workers = workers;
    this.#reference = reference;
    this.#fixed = fixed;
    this.#done = this.#loop();
  }

  async stop(): Promise<SampleReport> {
    this.#running = false;
    await this.#done;
    return { samples: this.#samples, missingMax: this.#missingMax, examples: this.#examples, failures: this.#failures };
  }

  async #loop(): Promise<void> {
    while (this.#running) {
      await this.#look();
      const expected = this.#expected();
      const at = performance.now();
      const union = new Set<string>();
      for (const series of await Promise.all(this.#workers.map((worker) => this.#scrape(worker)))) {
        for (const line of series) union.add(seriesKey(line));
      }
      this.#samples++;
      const isFixed = this.#fixed !== undefined;
      this.#pending.push({
        at,
        missing: expected.filter((key) => !union.has(key) && (isFixed || this.#known.has(key))),
      });
      for (const key of union) this.#known.add(key);
      await this.#look();
      this.#judge();
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    while (this.#pending.some(({ missing }) => missing.length > 0)) {
      await this.#look();
      this.#judge();
    }
  }

  /** Counts what was missing in the samples for which the reference has been read long enough. */
  #judge(): void {
    const until = performance.now() - (this.#reference === undefined ? 0 : AFTER_MS);
    for (const { at, missing } of this.#pending.filter((sample) => sample.at < until)) {
      if (missing.length <= this.#missingMax) continue;
      this.#missingMax = missing.length;
      this.#examples = [`at ${at.toFixed(0)} ms:`, ...missing.slice(0, 5)];
    }
    this.#pending = this.#pending.filter(({ at }) => at >= until);
  }

  /** A failed scrape shows nothing. */
  async #scrape(worker: Exporter): Promise<readonly string[]> {
    try {
      return await worker.series();
    } catch (error) {
      this.#failures.push(String(error));
      return [];
    }
  }

  /** Scrapes the reference; what it does not show is no longer expected of the samples that wait. */
  async #look(): Promise<void> {
    if (this.#reference === undefined) return;
    const keys = new Set((await this.#reference.series()).map(seriesKey));
    const now = performance.now();
    this.#history.push({ at: now, keys });
    this.#history = this.#history.filter(({ at }) => at > now - BEFORE_MS - 500);
    for (const key of this.#known) if (!keys.has(key)) this.#known.delete(key);
    for (const sample of this.#pending) sample.missing = sample.missing.filter((key) => keys.has(key));
  }

  #expected(): string[] {
    if (this.#fixed !== undefined) return [...this.#fixed];
    const [oldest, ...rest] = this.#history;
    if (oldest === undefined || performance.now() - oldest.at < BEFORE_MS) return [];
    return [...oldest.keys].filter((key) => rest.every(({ keys }) => keys.has(key)));
  }
}
