import type { Exporter } from './exporter-rig.ts';

/** A series without its value. */
export function seriesKey(line: string): string {
  return line.slice(0, line.lastIndexOf(' '));
}

export interface SampleReport {
  readonly samples: number;
  /** Most series missing in one sample, and some of them. */
  readonly missingMax: number;
  readonly examples: readonly string[];
  /** Scrapes that failed, and why. */
  readonly failures: readonly string[];
}

/**
 * Scrapes reference and workers over and over. Expected is what every reference scrape of the last 2 s and the next one
 * after the workers' show; missing is what of that no worker shows.
 */
export class SeriesSampler {
  readonly #reference: Exporter | undefined;
  readonly #workers: readonly Exporter[];
  readonly #fixed: ReadonlySet<string> | undefined;
  #history: { readonly at: number; readonly keys: ReadonlySet<string> }[] = [];
  #running = true;
  #done: Promise<void>;
  #samples = 0;
  #missingMax = 0;
  #examples: readonly string[] = [];
  readonly #failures: string[] = [];

  /**
   * @param fixed what is expected throughout, instead of the reference's view.
   */
  constructor(workers: readonly Exporter[], reference: Exporter | undefined, fixed?: ReadonlySet<string>) {
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
      await this.#remember();
      const union = new Set<string>();
      for (const series of await Promise.all(this.#workers.map((worker) => this.#scrape(worker)))) {
        for (const line of series) union.add(seriesKey(line));
      }
      await this.#remember();
      const missing = this.#expected().filter((key) => !union.has(key));
      this.#samples++;
      if (missing.length > this.#missingMax) {
        this.#missingMax = missing.length;
        this.#examples = missing.slice(0, 5);
      }
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
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

  async #remember(): Promise<void> {
    if (this.#reference === undefined) return;
    const keys = new Set((await this.#reference.series()).map(seriesKey));
    const now = performance.now();
    this.#history.push({ at: now, keys });
    this.#history = this.#history.filter(({ at }) => at > now - 2_500);
  }

  #expected(): string[] {
    if (this.#fixed !== undefined) return [...this.#fixed];
    const [oldest, ...rest] = this.#history;
    if (oldest === undefined || performance.now() - oldest.at < 2_000) return [];
    return [...oldest.keys].filter((key) => rest.every(({ keys }) => keys.has(key)));
  }
}
