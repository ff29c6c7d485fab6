import type { GoldenFleet } from './golden-fleet.ts';

export interface OpenScrapesReport {
  /** Scrapes of all workers while every one of them would have been answered. */
  readonly open: number;
  /** Most of the expected series that were missing in one of them, and some of those. */
  readonly missingMax: number;
  readonly examples: readonly string[];
  /** Time in which a worker would have held a scrape back, ms. */
  readonly closedMs: number;
}

/**
 * Scrapes a fleet over and over, as its gateways would pass scrapes on: a scrape counts when its worker was warm when it
 * began and still was when it ended.
 */
export class OpenScrapes {
  readonly #fleet: GoldenFleet;
  readonly #expected: readonly string[];
  readonly #done: Promise<void>;
  #running = true;
  #open = 0;
  #missingMax = 0;
  #examples: readonly string[] = [];
  #closedMs = 0;

  constructor(fleet: GoldenFleet, expected: readonly string[]) {
    this.#fleet = fleet;
    // The API server renews its own Lease.
    this.#expected = expected.filter((line) => !line.startsWith('kube_lease_'));
    this.#done = this.#loop();
  }

  async stop(): Promise<OpenScrapesReport> {
    this.#running = false;
    await this.#done;
    const [open, missingMax, examples] = [this.#open, this.#missingMax, this.#examples];
    return { open, missingMax, examples, closedMs: Math.round(this.#closedMs) };
  }

  async #loop(): Promise<void> {
    let last = performance.now();
    while (this.#running) {
      const parts = await Promise.all(this.#fleet.workers.map((worker) => this.#scrape(worker)));
      const now = performance.now();
      if (parts.includes(undefined)) this.#closedMs += now - last;
      else this.#compare(parts.flatMap((part) => part ?? []));
      last = now;
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }

  async #scrape({ plane, exporter }: GoldenFleet['workers'][number]): Promise<readonly string[] | undefined> {
    if (!plane.status().warm) return undefined;
    const series = await exporter.series();
    return plane.status().warm ? series : undefined;
  }

  #compare(union: readonly string[]): void {
    this.#open++;
    const shown = new Set(union);
    const missing = this.#expected.filter((line) => !shown.has(line));
    if (missing.length <= this.#missingMax) return;
    this.#missingMax = missing.length;
    this.#examples = missing.slice(0, 5);
  }
}
