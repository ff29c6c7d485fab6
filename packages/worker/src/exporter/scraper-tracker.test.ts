import { scraperSchema } from '@shard-controller/shared/contracts';
import { describe, expect, it } from 'vitest';
import { ScraperTracker, scraperId } from './scraper-tracker.ts';

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

describe('the scraper tracker', () => {
  it('keeps the newest start and end of each scraper', () => {
    const tracker = new ScraperTracker();
    tracker.completed('p', 100, 150);
    tracker.completed('q', 110, 120);
    tracker.completed('p', 200, 260);
    expect(tracker.scrapers()).toEqual([
      { id: 'q', lastStart: 110, lastEnd: 120 },
      { id: 'p', lastStart: 200, lastEnd: 260 },
    ]);
  });

  it('does not go back when a slow scrape that began earlier ends later', () => {
    const tracker = new ScraperTracker();
    tracker.completed('p', 200, 210);
    tracker.completed('p', 100, 300);
    expect(tracker.scrapers()).toEqual([{ id: 'p', lastStart: 200, lastEnd: 300 }]);
  });

  it('keeps a regular scraper in a crowd of passers-by, and lets it go among regulars when it stays away', () => {
    const tracker = new ScraperTracker();
    for (const at of [1, 2]) tracker.completed('prometheus', at, at);
    for (let i = 0; i < 500; i++) tracker.completed(`passer-by ${i}`, 10 + i, 10 + i);
    expect(tracker.scrapers().map(({ id }) => id)).toContain('prometheus');
    for (let i = 0; i < 128; i++) tracker.completed(`regular ${i >> 1}`, 1000 + i, 1000 + i);
    expect(tracker.scrapers()).toHaveLength(64);
    expect(tracker.scrapers().map(({ id }) => id)).not.toContain('prometheus');
  });

  it('holds the 64 newest', () => {
    const tracker = new ScraperTracker();
    for (let i = 0; i < 70; i++) tracker.completed(`s${i}`, i, i + 1);
    expect(tracker.scrapers()).toHaveLength(64);
    expect(tracker.scrapers().map(({ id }) => id)).not.toContain('s5');
    expect(tracker.scrapers().at(-1)?.id).toBe('s69');
  });
});
