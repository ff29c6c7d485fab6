import type { Heartbeat, Scraper } from '@shard-controller/shared/contracts';

/** Whether the consumers of the source's `/metrics` have seen the moved slots at the target. */
export interface ScraperProgress {
  readonly moved: boolean;
  /** Scrapers of the source that have not yet completed a scrape of the target. */
  readonly waitingFor: readonly string[];
}

/** What a worker says of those who read it. */
export type Scraped = Pick<Heartbeat, 'sentAt'> & {
  readonly gateway: Pick<Heartbeat['gateway'], 'scrapers' | 'readSince'>;
};

/** A scraper that stays away for so many of its intervals, and a little more, has gone. */
const MISSED_SCRAPES = 3;
const MORE_MS = 15_000;

/**
 * Every scraper of the source must have completed a scrape of the target that began after the target's exposition was
 * complete.
 *
 * A scraper is who says so, or who came again. Who has not come to the source for three of its intervals (for
 * `scraperTtlMs` where they are not known) has gone. Not every scraper reads every worker: several may share them, or keep
 * to those of their own node. One that stays away from some worker which others have read for long enough is such a one;
 * unless it is known to read the target, a scrape of the target by any other scraper counts for it.
 *
 * Ages are taken on the clock of the worker that tells them and the acknowledgement on the target's, so that no two
 * clocks are compared.
 *
 * @param others further workers of the ShardConfig that are heard
 * @param acknowledgedAt when the target's exposition was complete, ms on the target's clock
 */
export function scraperProgress(
  source: Scraped,
  target: Scraped,
  others: readonly Scraped[],
  acknowledgedAt: number,
  scraperTtlMs: number,
): ScraperProgress {
  const scrapers = source.gateway.scrapers.filter(
    (scraper) => isScraper(scraper) && source.sentAt - scraper.lastEnd <= patienceMs(scraper, scraperTtlMs),
  );
  const known = new Set([source, ...others].flatMap(({ gateway }) => gateway.scrapers.filter(isScraper)).map(idOf));
  const readers = target.gateway.scrapers.filter(({ lastStart }) => lastStart > acknowledgedAt);
  const isReadByAny = readers.some((reader) => isScraper(reader) || known.has(reader.id));
  const hasMoved = (scraper: Scraper): boolean => {
    if (readers.some(({ id }) => id === scraper.id)) return true;
    if (!isReadByAny || reads(scraper, target, scraperTtlMs)) return false;
    return [target, ...others].some((worker) => staysAwayFrom(scraper, worker, scraperTtlMs));
  };
  const waitingFor = scrapers.filter((scraper) => !hasMoved(scraper)).map(idOf);
  return { moved: waitingFor.length === 0, waitingFor };
}

const idOf = ({ id }: Scraper): string => id;

/** A worker of an older version reports for no client whether it announces itself: all its readers count. */
const isScraper = ({ announced, intervalMs }: Scraper): boolean => announced !== false || intervalMs !== undefined;

/** How long a scraper may be away before it has gone, ms. */
function patienceMs({ intervalMs }: Scraper, scraperTtlMs: number): number {
  return intervalMs === undefined ? scraperTtlMs : Math.min(scraperTtlMs, MISSED_SCRAPES * intervalMs + MORE_MS);
}

function reads(scraper: Scraper, { sentAt, gateway }: Scraped, scraperTtlMs: number): boolean {
  const patience = patienceMs(scraper, scraperTtlMs);
  return gateway.scrapers.some(({ id, lastEnd }) => id === scraper.id && sentAt - lastEnd <= patience);
}

/** Whether it has had the time to come there and did not. */
function staysAwayFrom(scraper: Scraper, worker: Scraped, scraperTtlMs: number): boolean {
  const { sentAt, gateway } = worker;
  const isOld = gateway.readSince !== undefined && sentAt - gateway.readSince > patienceMs(scraper, scraperTtlMs);
  return isOld && !reads(scraper, worker, scraperTtlMs);
}
