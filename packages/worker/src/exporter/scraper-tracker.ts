import { createHash } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import type { Scraper } from '@shard-controller/shared/contracts';

/** Most scrapers that are remembered and reported; contracts/heartbeat.ts allows no more. */
const MAX_SCRAPERS = 64;

/** Longest id in a heartbeat. */
const MAX_ID_LENGTH = 200;

/** Parameters by which kube-state-metrics answers with some kinds only (pkg/metricshandler). */
const KIND_FILTERS = ['resources', 'exclude_resources'] as const;

/**
 * Who scrapes: remote address and user agent, without the port, which differs per connection, and the kinds asked for,
 * because one Prometheus may scrape a shard by several jobs and has the series of a job only when that one is done. An
 * IPv4 client has one identity whether or not the listener also takes IPv6. A long id is cut and told apart by a digest.
 *
 * @param search query of the request, with its `?`, or empty.
 */
export function scraperId(remoteAddress: string | undefined, userAgent: string | undefined, search = ''): string {
  const address = (remoteAddress ?? 'unknown').replace(/^::ffff:(?=\d+\.)/i, '');
  const query = new URLSearchParams(search);
  const filters = KIND_FILTERS.flatMap((name) => query.getAll(name).map((value) => `${name}=${value}`));
  const id = [address, userAgent?.trim() || '-', ...filters].join(' ');
  if (id.length <= MAX_ID_LENGTH) return id;
  const digest = createHash('sha256').update(id).digest('hex').slice(0, 16);
  return `${id.slice(0, MAX_ID_LENGTH - digest.length - 1)}~${digest}`;
}

/**
 * User agents of programs that scrape: Prometheus, vmagent, the OpenTelemetry collector, Grafana Agent and Alloy, Telegraf,
 * the Datadog agent. The first four, and whatever is made of Prometheus' scrape loop, announce a time-out as well.
 */
const SCRAPING_AGENT = /^(prometheus|vm_promscrape|vmagent|otelcol|opentelemetry|grafana|alloy|telegraf|datadog)/i;

/** Whether a request says that it comes from a scraper, which will come again, and not from a person who looks. */
export function announcesScraper(headers: IncomingHttpHeaders): boolean {
  return (
    headers['x-prometheus-scrape-timeout-seconds'] !== undefined ||
    SCRAPING_AGENT.test(headers['user-agent']?.trim() ?? '')
  );
}

/** One completed scrape. */
export interface CompletedScrape {
  readonly id: string;
  /**
   * When the exporter was asked, ms since the epoch: everything that it had rendered before is in the scrape.
   */
  readonly startedAt: number;
  /** When the last byte was handed to the network, ms since the epoch. */
  readonly endedAt: number;
  readonly announced: boolean;
}

/** Number of a scraper's newest intervals that count: a reload of its configuration makes single ones short. */
const INTERVALS = 4;

interface Known {
  readonly lastStart: number;
  readonly lastEnd: number;
  readonly announced: boolean;
  /** The newest ones, ms. */
  readonly intervals: readonly number[];
}

/**
 * Remembers the newest completed scrape of each client and how often it comes: what the manager needs in order to know
 * that all consumers of moved slots have seen them at their new place. A scrape that was refused or cut is not recorded,
 * because its consumer does not have the series.
 */
export class ScraperTracker {
  readonly #byId = new Map<string, Known>();
  #readSince: number | undefined;

  completed({ id, startedAt, endedAt, announced }: CompletedScrape): void {
    this.#readSince ??= startedAt;
    const known = this.#byId.get(id);
    const interval = startedAt - (known?.lastStart ?? startedAt);
    const intervals = known?.intervals ?? [];
    this.#byId.delete(id);
    this.#byId.set(id, {
      // Two scrapes of one scraper may overlap; the one that began later shows the newer state.
      lastStart: Math.max(startedAt, known?.lastStart ?? 0),
      lastEnd: Math.max(endedAt, known?.lastEnd ?? 0),
      announced: announced || known?.announced === true,
      intervals: interval <= 0 ? intervals : [...intervals, interval].slice(-INTERVALS),
    });
    if (this.#byId.size > MAX_SCRAPERS) this.#forgetOne(id);
  }

  /** Start of the first completed scrape, ms since the epoch; undefined before it. */
  get readSince(): number | undefined {
    return this.#readSince;
  }

  /** Who came once goes before who comes again: a crowd of passers-by must not push a Prometheus out. */
  #forgetOne(newest: string): void {
    const others = [...this.#byId].filter(([id]) => id !== newest);
    const passersBy = others.filter(([, { announced, intervals }]) => !announced && intervals.length === 0);
    const candidates = passersBy.length > 0 ? passersBy : others;
    const [id] = candidates.reduce((a, b) => (b[1].lastEnd < a[1].lastEnd ? b : a));
    this.#byId.delete(id);
  }

  /** At most 64, the one that finished last at the end. */
  scrapers(): Scraper[] {
    return [...this.#byId].map(([id, { lastStart, lastEnd, announced, intervals }]) => {
      const isKnown = intervals.length >= (announced ? INTERVALS : 1);
      return { id, lastStart, lastEnd, announced, ...(isKnown ? { intervalMs: Math.max(...intervals) } : {}) };
    });
  }
}
