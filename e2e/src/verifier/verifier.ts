import { compareExpositions } from './compare.ts';
import { type Expectation, Judge, type PhaseFigures } from './judge.ts';
import { type Scrape, Scraper, type Target } from './scrape.ts';

/** How one target does, as of its newest scrape. */
export interface TargetView {
  readonly name: string;
  readonly bytes: number;
  readonly ms: number;
  readonly problem: string | undefined;
}

/** Figures of the running phase, with the verifier's own pace. */
export interface LiveFigures extends PhaseFigures {
  readonly phase: string;
  /** Ms since the phase began. */
  readonly ms: number;
  /** Ticks that the interval promises for this time. */
  readonly ticksPromised: number;
  readonly intervalMs: number;
  readonly targets: readonly TargetView[];
}

export type ComparisonOutcome =
  | { readonly equal: true; readonly lines: number; readonly ms: number }
  | { readonly equal: false; readonly difference: string; readonly ms: number };

/** Bounds of the tick interval, ms. */
const FASTEST_MS = 250;
const SLOWEST_MS = 1000;
/** Over the longest tick of late: while the fleet is being changed, ticks take longer than when the interval was settled. */
const HEADROOM = 1.2;
/** Ticks that may be in progress at once: a target may delay a scrape for 2 s. */
const MOST_UNDER_WAY = 8;
/** How fast the longest tick is forgotten, per tick. */
const FORGETTING = 0.995;
/** When the reference is read, as a part of the interval after the targets. */
const REFERENCE_AFTER = 0.5;

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, Math.max(0, ms)));
const smoothed = (before: number, value: number): number => (before === 0 ? value : before * 0.8 + value * 0.2);

export interface VerifierOptions {
  readonly reference: Target;
  /** Targets at this moment. */
  readonly targets: () => readonly Target[];
  /** CPU that the verifier may use, in cores; a quarter of the machine by default. */
  readonly cores: number;
  readonly scrapeTimeoutMs?: number | undefined;
  readonly onTick?: (live: LiveFigures) => void;
}

/**
 * Looks at every series of every target again and again while someone changes the fleet. The interval is 250 ms, or as
 * much more as its CPU budget and the time of a tick ask for, up to 1 s; it is settled when a phase starts.
 */
export class Verifier {
  readonly #options: VerifierOptions;
  readonly #scraper: Scraper;
  readonly #judge = new Judge();
  #phase = '';
  #phaseStart = 0;
  #intervalMs = FASTEST_MS;
  #cpuMsPerTick = 0;
  #slowestMs = 0;
  #views: readonly TargetView[] = [];
  #busy: Promise<void> = Promise.resolve();
  #underWay = 0;
  #paused = false;

  constructor(options: VerifierOptions) {
    this.#options = options;
    this.#scraper = new Scraper('shard-controller-verifier', options.scrapeTimeoutMs);
  }

  async run(signal: AbortSignal): Promise<void> {
    let next = performance.now();
    while (!signal.aborted) {
      await pause(next - performance.now());
      next = Math.max(next + this.#intervalMs, performance.now());
      if (this.#paused || signal.aborted || this.#underWay >= MOST_UNDER_WAY) continue;
      this.#underWay++;
      this.#busy = this.#tick(this.#busy).finally(() => this.#underWay--);
    }
    await this.#busy;
    this.#scraper.close();
  }

  /** Begins a phase: counts start at zero, and the interval is chosen again. */
  async startPhase(name: string, expectation: Expectation): Promise<void> {
    await this.#busy;
    const affordable = Math.max(this.#cpuMsPerTick / this.#options.cores, this.#slowestMs * HEADROOM);
    this.#intervalMs = Math.min(SLOWEST_MS, Math.max(FASTEST_MS, Math.ceil(affordable / 10) * 10));
    this.#phase = name;
    this.#phaseStart = performance.now();
    this.#judge.startPhase(expectation, this.#phaseStart);
  }

  live(final = false): LiveFigures {
    const ms = performance.now() - this.#phaseStart;
    return {
      ...this.#judge.figures(final),
      phase: this.#phase,
      ms: Math.round(ms),
      ticksPromised: Math.floor(ms / this.#intervalMs),
      intervalMs: this.#intervalMs,
      targets: this.#views,
    };
  }

  /** Figures of the phase that ends now. */
  async endPhase(): Promise<LiveFigures> {
    await this.#busy;
    return this.live(true);
  }

  /**
   * Union of the targets against the reference, byte for byte, tried until they are equal or `withinMs` is over. The
   * reference is read before and after the targets, because leases are renewed meanwhile; see `compareExpositions`. A
   * target that does not answer counts as empty here, too.
   */
  async compare(withinMs: number): Promise<ComparisonOutcome> {
    const start = performance.now();
    this.#paused = true;
    await this.#busy;
    try {
      for (;;) {
        const outcome = await this.#compareOnce();
        const ms = Math.round(performance.now() - start);
        if (outcome.equal || ms > withinMs) return { ...outcome, ms };
        await pause(100);
      }
    } finally {
      this.#paused = false;
    }
  }

  async #compareOnce(): Promise<{ equal: true; lines: number } | { equal: false; difference: string }> {
    const before = await this.#scraper.scrape(this.#options.reference);
    if (before.body === undefined) return { equal: false, difference: `no reference: ${before.problem}` };
    const reference = Buffer.from(before.body);
    const scrapes = await this.#scrapeTargets();
    const after = await this.#scraper.scrape(this.#options.reference);
    if (after.body === undefined) return { equal: false, difference: `no reference: ${after.problem}` };
    return compareExpositions(
      reference,
      after.body,
      scrapes.map((scrape) => scrape.body ?? Buffer.alloc(0)),
    );
  }

  #scrapeTargets(): Promise<Scrape[]> {
    return Promise.all(this.#options.targets().map((target) => this.#scraper.scrape(target)));
  }

  /**
   * One tick. A target that holds a scrape back delays neither the start of the next tick nor its place: bodies are read
   * in the order of the ticks, after everything of the one `before`.
   */
  async #tick(before: Promise<void>): Promise<void> {
    const start = performance.now();
    const scrapes = await this.#scrapeTargets();
    await before;
    const cpu = process.cpuUsage();
    const readAt = performance.now();
    this.#judge.readTargets(scrapes);
    // Not at once: what was deleted a moment before the targets were read has to be gone from the reference as well.
    const idleMs = Math.max(0, start + this.#intervalMs * REFERENCE_AFTER - performance.now());
    await pause(idleMs);
    const reference = await this.#scraper.scrape(this.#options.reference);
    this.#judge.readReference(reference);
    this.#views = [...scrapes, reference].map((s) => ({
      name: s.target,
      bytes: s.body?.length ?? 0,
      ms: Math.round(s.end - s.start),
      problem: s.problem,
    }));
    for (const scrape of [...scrapes, reference]) this.#scraper.recycle(scrape);
    const used = process.cpuUsage(cpu);
    this.#cpuMsPerTick = smoothed(this.#cpuMsPerTick, (used.user + used.system) / 1000);
    const ms = performance.now() - readAt - idleMs;
    this.#slowestMs = Math.max(ms, this.#slowestMs * FORGETTING);
    this.#options.onTick?.(this.live());
  }
}
