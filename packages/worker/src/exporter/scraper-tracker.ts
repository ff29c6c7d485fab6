import { createHash } from 'node:crypto';
import type { Scraper } from '@shard-controller/shared/contracts';

/** Most scrapers that are remembered and reported; contracts/heartbeat.ts allows no more. */
const MAX_SCRAPERS = 64;

/** Longest id in a heartbeat. */
const MAX_ID_LENGTH = 200;

/**
 * Who scrapes: remote address and user agent, without the port, which differs per connection. An IPv4 client has one
 * identity whether or not the listener also takes IPv6. A long user agent is cut and told apart by a digest.
 */
export function scraperId(remoteAddress: string | undefined, userAgent: string | undefined): string {
  const address = (remoteAddress ?? 'unknown').replace(/^::ffff:(?=\d+\.)/i, '');
  const id = `${address} ${userAgent?.trim() || '-'}`;
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
    this.#byId.delete(id);
    this.#byId.set(id, { id, lastStart, lastEnd });
    if (this.#byId.size <= MAX_SCRAPERS) return;
    let oldest: Scraper | undefined;
    for (const scraper of this.#byId.values()) if (scraper.lastEnd < (oldest?.lastEnd ?? Infinity)) oldest = scraper;
    if (oldest !== undefined) this.#byId.delete(oldest.id);
  }

  /** At most 64, the one that finished last at the end. */
  scrapers(): Scraper[] {
    return [...this.#byId.values()];
  }
}
