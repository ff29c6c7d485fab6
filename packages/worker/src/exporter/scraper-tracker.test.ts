import { scraperSchema } from '@shard-controller/shared/contracts';
import { describe, expect, it } from 'vitest';
import { announcesScraper, scraperId, ScraperTracker } from './scraper-tracker.ts';

describe('the identity of a scraper', () => {
  it('is address and user agent, the same for IPv4 and IPv4 over IPv6', () => {
    expect(scraperId('10.0.0.7', 'Prometheus/3.5')).toBe('10.0.0.7 Prometheus/3.5');
    expect(scraperId('::ffff:10.0.0.7', 'Prometheus/3.5')).toBe('10.0.0.7 Prometheus/3.5');
    expect(scraperId('fd00::1', undefined)).toBe('fd00::1 -');
  });

  it('tells jobs apart that ask for different kinds, and nothing else of the query', () => {
    const pods = scraperId('10.0.0.7', 'P', '?resources=pods&_=17');
    expect(pods).toBe('10.0.0.7 P resources=pods');
    expect(scraperId('10.0.0.7', 'P', '?_=18&resources=pods')).toBe(pods);
    expect(scraperId('10.0.0.7', 'P', '?exclude_resources=pods')).not.toBe(pods);
    expect(scraperId('10.0.0.7', 'P', '?_=19')).toBe(scraperId('10.0.0.7', 'P'));
  });

  it('stays within the bound of the heartbeat and still tells long user agents apart', () => {
    const [a, b] = ['a', 'b'].map((last) => scraperId('10.0.0.7', `${'x'.repeat(400)}${last}`));
    expect(a).not.toBe(b);
    expect(scraperSchema.safeParse({ id: a, lastStart: 1, lastEnd: 2 }).success).toBe(true);
  });
});

describe('who announces itself', () => {
  it('is a scraper by name or by the time-out that Prometheus sends, not a person', () => {
    for (const agent of ['Prometheus/3.5.0', 'vm_promscrape', 'otelcol-contrib/0.140', 'Alloy/1.9', 'Telegraf/1.35']) {
      expect(announcesScraper({ 'user-agent': agent })).toBe(true);
    }
    expect(announcesScraper({ 'user-agent': 'in-house/1', 'x-prometheus-scrape-timeout-seconds': '10' })).toBe(true);
    for (const agent of ['curl/8.5.0', 'Mozilla/5.0 (X11; Linux x86_64)', 'Wget/1.21', 'Go-http-client/1.1', '']) {
      expect(announcesScraper({ 'user-agent': agent })).toBe(false);
    }
    expect(announcesScraper({})).toBe(false);
  });
});

describe('the scraper tracker', () => {
  const read = (tracker: ScraperTracker, id: string, startedAt: number, endedAt = startedAt, announced = false): void =>
    tracker.completed({ id, startedAt, endedAt, announced });

  it('keeps the newest start and end of each scraper', () => {
    const tracker = new ScraperTracker();
    read(tracker, 'p', 100, 150);
    read(tracker, 'q', 110, 120);
    read(tracker, 'p', 200, 260);
    expect(tracker.scrapers()).toEqual([
      { id: 'q', lastStart: 110, lastEnd: 120, announced: false },
      { id: 'p', lastStart: 200, lastEnd: 260, announced: false, intervalMs: 100 },
    ]);
    expect(tracker.readSince).toBe(100);
  });

  it('does not go back when a slow scrape that began earlier ends later', () => {
    const tracker = new ScraperTracker();
    read(tracker, 'p', 200, 210);
    read(tracker, 'p', 100, 300);
    expect(tracker.scrapers()).toEqual([{ id: 'p', lastStart: 200, lastEnd: 300, announced: false }]);
  });

  it('takes the longest of the newest intervals, so that a reload does not look like a short one', () => {
    const tracker = new ScraperTracker();
    for (const at of [0, 60_000, 61_000, 121_000, 181_000]) read(tracker, 'p', at);
    expect(tracker.scrapers()[0]?.intervalMs).toBe(60_000);
    for (const at of [196_000, 211_000, 226_000, 241_000]) read(tracker, 'p', at);
    expect(tracker.scrapers()[0]?.intervalMs).toBe(15_000);
  });

  it('says how often one comes that announces itself only when that is sure', () => {
    const tracker = new ScraperTracker();
    for (const at of [0, 1, 15_000, 30_000]) read(tracker, 'p', at, at, true);
    expect(tracker.scrapers()).toEqual([{ id: 'p', lastStart: 30_000, lastEnd: 30_000, announced: true }]);
    read(tracker, 'p', 45_000, 45_000, true);
    expect(tracker.scrapers()[0]?.intervalMs).toBe(15_000);
  });

  it('keeps a regular scraper in a crowd of passers-by, and lets it go among regulars when it stays away', () => {
    const tracker = new ScraperTracker();
    read(tracker, 'announced', 0, 0, true);
    for (const at of [1, 2]) read(tracker, 'prometheus', at);
    for (let i = 0; i < 500; i++) read(tracker, `passer-by ${i}`, 10 + i);
    expect(tracker.scrapers().map(({ id }) => id)).toEqual(expect.arrayContaining(['announced', 'prometheus']));
    for (let i = 0; i < 128; i++) read(tracker, `regular ${i >> 1}`, 1000 + i);
    expect(tracker.scrapers()).toHaveLength(64);
    expect(tracker.scrapers().map(({ id }) => id)).not.toContain('prometheus');
  });

  it('holds the 64 newest', () => {
    const tracker = new ScraperTracker();
    for (let i = 0; i < 70; i++) read(tracker, `s${i}`, i, i + 1);
    expect(tracker.scrapers()).toHaveLength(64);
    expect(tracker.scrapers().map(({ id }) => id)).not.toContain('s5');
    expect(tracker.scrapers().at(-1)?.id).toBe('s69');
  });
});
