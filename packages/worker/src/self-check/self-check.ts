import type { Logger } from '@shard-controller/shared/observability';
import type { Clock } from '@shard-controller/shared/runtime';
import type { FeedReport } from '../data-plane/index.ts';
import { type ExporterAddress, ExporterStatusError, openExposition } from '../exporter/index.ts';
import { compareKinds, type KindCheck, kindStates } from './comparison.ts';
import { ONE_PER_OBJECT } from './one-per-object.ts';
import { SeriesCounter } from './series-counter.ts';

export interface SelfCheckOptions {
  readonly exporter: ExporterAddress;
  readonly feeds: () => readonly FeedReport[];
  /** What is shown, as a text that changes with every acknowledged load; undefined while that is incomplete. */
  readonly shown: () => string | undefined;
  /** Time between two checks while nothing changes, ms; 0 for no checks but those that are asked for. */
  readonly intervalMs: number;
  readonly clock: Clock;
  readonly logger: Logger;
  /** The set of mismatches is another one. */
  readonly onChange: () => void;
}

/** Time that the exporter is given to handle what was sent, ms. */
const SETTLE_MS = 5_000;
/** Time after which a difference is checked again, before it counts, ms. */
const CONFIRM_MS = 15_000;
/** Least time between two checks, ms. */
const MIN_GAP_MS = 60_000;
const POLL_MS = 5_000;
const ANSWER_TIMEOUT_MS = 10_000;
const TOTAL_TIMEOUT_MS = 60_000;

interface Mismatch {
  readonly objects: number;
  readonly series: number;
}

/**
 * Compares what the exporter was sent with what it exposes, because everything else here counts what was sent. Reads the
 * exposition like one more scraper, at most once a minute. A difference counts when it was seen twice.
 */
export class SelfCheck {
  readonly #options: SelfCheckOptions;
  readonly #seen = new Set<string>();
  readonly #mismatches = new Map<string, Mismatch>();
  #running: Promise<readonly KindCheck[]> | undefined;

  constructor(options: SelfCheckOptions) {
    this.#options = options;
  }

  /** Series less objects, by resource, of the kinds that differed twice. */
  get mismatches(): ReadonlyMap<string, number> {
    return new Map([...this.#mismatches].map(([resource, { objects, series }]) => [resource, series - objects]));
  }

  /** Which kinds differ, for people; undefined while none does. Without figures, which may change all the time. */
  get problem(): string | undefined {
    if (this.#mismatches.size === 0) return undefined;
    return `the exposition of kube-state-metrics does not match what it was sent: ${[...this.#mismatches.keys()].sort().join(', ')}`;
  }

  async run(signal: AbortSignal): Promise<void> {
    const { clock, intervalMs, shown } = this.#options;
    if (intervalMs === 0) return;
    let checked: string | undefined;
    let checkedAt = -Infinity;
    while (!signal.aborted) {
      await clock.sleep(Math.min(POLL_MS, intervalMs), signal);
      const now = shown();
      const age = clock.monotonic() - checkedAt;
      const isDue = age >= intervalMs || (now !== checked && age >= Math.min(MIN_GAP_MS, intervalMs));
      if (signal.aborted || now === undefined || !isDue) continue;
      await this.#checkTwice(signal);
      checked = now;
      checkedAt = clock.monotonic();
    }
  }

  /** One check at once; joins one that is in progress. Throws when the exposition cannot be read. */
  async now(signal: AbortSignal): Promise<readonly KindCheck[]> {
    this.#running ??= this.#check(signal).finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  async #checkTwice(signal: AbortSignal): Promise<void> {
    try {
      let checks = await this.now(signal);
      const first = differing(checks);
      if (first.size > 0) {
        await this.#options.clock.sleep(CONFIRM_MS, signal);
        checks = await this.now(signal);
      }
      const twice = [...differing(checks)].filter(
        ([resource]) => first.has(resource) || this.#mismatches.has(resource),
      );
      const undecided = new Set(checks.flatMap(({ verdict, resource }) => (verdict === 'unsettled' ? [resource] : [])));
      this.#settle(new Map(twice), undecided);
    } catch (error) {
      if (!signal.aborted) this.#options.logger.debug({ err: error }, 'the exposition could not be checked');
    }
  }

  /** Takes over what a confirmed check says; nothing about kinds that it could not judge. */
  #settle(differ: ReadonlyMap<string, Mismatch>, undecided: ReadonlySet<string>): void {
    const { logger, onChange } = this.#options;
    let isChanged = false;
    for (const resource of this.#mismatches.keys()) {
      if (differ.has(resource) || undecided.has(resource)) continue;
      this.#mismatches.delete(resource);
      isChanged = true;
      logger.info({ resource }, 'the exposition matches again what the exporter was sent');
    }
    for (const [resource, mismatch] of differ) {
      if (!this.#mismatches.has(resource)) {
        isChanged = true;
        logger.error(
          { resource, ...mismatch },
          'the exposition does not match what the exporter was sent: keep both logs, report it, and restart the container of the exporter',
        );
      }
      this.#mismatches.set(resource, mismatch);
    }
    if (isChanged) onChange();
  }

  async #check(signal: AbortSignal): Promise<readonly KindCheck[]> {
    const { clock, feeds, shown } = this.#options;
    const whole = shown();
    const before = kindStates(feeds());
    await clock.sleep(SETTLE_MS, signal);
    const counter = await this.#count(signal);
    const after = kindStates(feeds());
    const isSteady = whole !== undefined && shown() === whole;
    const checks = compareKinds(isSteady ? before : new Map(), after, counter, this.#seen);
    for (const metric of ONE_PER_OBJECT.values()) if (counter.has(metric)) this.#seen.add(metric);
    return checks;
  }

  async #count(signal: AbortSignal): Promise<SeriesCounter> {
    const counter = new SeriesCounter();
    const answer = await openExposition(this.#options.exporter, {
      method: 'GET',
      search: '',
      headers: { accept: 'text/plain; version=0.0.4', 'user-agent': 'shard-controller-worker/self-check' },
      answerTimeoutMs: ANSWER_TIMEOUT_MS,
      signal: AbortSignal.any([signal, AbortSignal.timeout(TOTAL_TIMEOUT_MS)]),
    });
    if (answer.statusCode !== 200) {
      answer.destroy();
      throw new ExporterStatusError(`kube-state-metrics answered ${answer.statusCode}`);
    }
    for await (const chunk of answer) counter.push(Buffer.from(chunk));
    return counter;
  }
}

function differing(checks: readonly KindCheck[]): Map<string, Mismatch> {
  return new Map(
    checks.flatMap(({ resource, verdict, objects, series = 0 }) =>
      verdict === 'differs' ? [[resource, { objects, series }] as const] : [],
    ),
  );
}
