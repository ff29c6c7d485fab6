import { createHash } from 'node:crypto';
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
 * Remembers the newest completed scrape of each scraper: what the manager needs in order to know that all consumers
 * of moved slots have seen them at their new place. A scrape that was refused or cut is not recorded, because its
 * consumer does not have the series.
 */
export class ScraperTracker {
  readonly #byId = new Map<string, Scraper>();
  /** Ids that were seen more than once. */
  readonly #regulars = new Set<string>();

  /**
   * @param startedAt when the exporter was asked, ms since the epoch: everything that it had rendered before is in the
   *   scrape.
   * @param endedAt when the last byte was handed to the network, ms since the epoch.
   */
  completed(id: string, startedAt: number, endedAt: number): void {
    const known = this.#byId.get(id);
    // Two scrapes of one scraper may overlap; the one that began later shows the newer state.
    const lastStart = Math.max(startedAt, known?.lastStart ?? 0);
    const lastEnd = Math.max(endedAt, known?.lastEnd ?? 0);
    if (known !== undefined) this.#regulars.add(id);
    this.#byId.delete(id);
    this.#byId.set(id, { id, lastStart, lastEnd });
    if (this.#byId.size > MAX_SCRAPERS) this.#forgetOne(id);
  }

  /** Who came once goes before who comes again: a crowd of passers-by must not push a Prometheus out. */
  #forgetOne(newest: string): void {
    const others = [...this.#byId.values()].filter(({ id }) => id !== newest);
    const passersBy = others.filter(({ id }) => !this.#regulars.has(id));
    const candidates = passersBy.length > 0 ? passersBy : others;
    const { id } = candidates.reduce((a, b) => (b.lastEnd < a.lastEnd ? b : a));
    this.#byId.delete(id);
    this.#regulars.delete(id);
  }

  /** At most 64, the one that finished last at the end. */
  scrapers(): Scraper[] {
    return [...this.#byId.values()];
  }
}
