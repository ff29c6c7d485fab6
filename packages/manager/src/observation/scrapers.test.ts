import { describe, expect, it } from 'vitest';
import { scraperProgress } from './scrapers.ts';

const TTL = 300_000;
const side = (sentAt: number, scrapers: readonly { id: string; lastStart: number; lastEnd: number }[]) => ({
  sentAt,
  gateway: { scrapers },
});

describe('scraperProgress', () => {
  it('waits for a scraper of the source that has not been at the target', () => {
    const source = side(1_000_000, [{ id: 'prom', lastStart: 999_000, lastEnd: 999_100 }]);
    expect(scraperProgress(source, side(0, []), 10, TTL)).toEqual({ moved: false, waitingFor: ['prom'] });
  });

  it('does not accept a scrape that began before the exposition was complete', () => {
    const source = side(1_000_000, [{ id: 'prom', lastStart: 999_000, lastEnd: 999_100 }]);
    const target = side(5_000, [{ id: 'prom', lastStart: 4_000, lastEnd: 4_900 }]);
    expect(scraperProgress(source, target, 4_500, TTL).moved).toBe(false);
    expect(scraperProgress(source, target, 4_000, TTL).moved).toBe(false);
    expect(scraperProgress(source, target, 3_999, TTL).moved).toBe(true);
  });

  it('waits for every scraper, not for the first', () => {
    const source = side(1_000_000, [
      { id: 'a', lastStart: 999_000, lastEnd: 999_100 },
      { id: 'b', lastStart: 999_000, lastEnd: 999_100 },
    ]);
    const target = side(5_000, [{ id: 'a', lastStart: 4_000, lastEnd: 4_900 }]);
    expect(scraperProgress(source, target, 1, TTL).waitingFor).toEqual(['b']);
  });

  it('forgets a scraper that has not come to the source for longer than the time to live', () => {
    const source = side(1_000_000, [{ id: 'gone', lastStart: 0, lastEnd: 1_000_000 - TTL - 1 }]);
    expect(scraperProgress(source, side(0, []), 10, TTL).moved).toBe(true);
  });

  it('never compares the two clocks', () => {
    const source = side(1_000_000_000, [{ id: 'prom', lastStart: 999_999_000, lastEnd: 999_999_100 }]);
    const targetInThePast = side(50, [{ id: 'prom', lastStart: 40, lastEnd: 45 }]);
    expect(scraperProgress(source, targetInThePast, 30, TTL).moved).toBe(true);
  });
});
