import type { Heartbeat, Scraper } from '@shard-controller/shared/contracts';

/** Whether the consumers of the source's `/metrics` have seen the moved slots at the target. */
export interface ScraperProgress {
  readonly moved: boolean;
  /** Scrapers of the source that have not yet completed a scrape of the target. */
  readonly waitingFor: readonly string[];
}

type Scraped = Pick<Heartbeat, 'sentAt'> & { readonly gateway: { readonly scrapers: readonly Scraper[] } };

/**
 * Every scraper that completed a scrape of the source within `scraperTtlMs` must have completed one of the target that
 * began after the target's exposition was complete. Ages are taken on the source's clock and the acknowledgement on the
 * target's, so the two clocks are never compared.
 *
 * @param acknowledgedAt when the target's exposition was complete, ms on the target's clock
 */
export function scraperProgress(
  source: Scraped,
  target: Scraped,
  acknowledgedAt: number,
  scraperTtlMs: number,
): ScraperProgress {
  const seenAtTarget = new Map(target.gateway.scrapers.map((scraper) => [scraper.id, scraper]));
  const waitingFor = source.gateway.scrapers
    .filter((scraper) => source.sentAt - scraper.lastEnd <= scraperTtlMs)
    .map((scraper) => scraper.id)
    .filter((id) => (seenAtTarget.get(id)?.lastStart ?? Number.NEGATIVE_INFINITY) <= acknowledgedAt);
  return { moved: waitingFor.length === 0, waitingFor };
}
