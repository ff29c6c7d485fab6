import { describe, expect, it } from 'vitest';
import { type Scraped, scraperProgress as progressOf } from './scrapers.ts';

const TTL = 300_000;
type Reader = Scraped['gateway']['scrapers'][number];

const side = (sentAt: number, scrapers: readonly Reader[], readSince?: number): Scraped => ({
  sentAt,
  gateway: { scrapers: [...scrapers], ...(readSince === undefined ? {} : { readSince }) },
});

const scraperProgress = (source: Scraped, target: Scraped, acknowledgedAt: number, ttl: number) =>
  progressOf(source, target, [], acknowledgedAt, ttl);

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

describe('who is waited for', () => {
  const INTERVAL = 15_000;
  const NOW = 1_000_000;
  /** A scraper that was at a worker `agoMs` before the worker spoke. */
  const prometheus = (id: string, agoMs = 5_000): Reader => ({
    id,
    lastStart: NOW - agoMs,
    lastEnd: NOW - agoMs + 100,
    announced: true,
    intervalMs: INTERVAL,
  });
  const curl = (agoMs = 5_000): Reader => ({
    id: '10.0.0.9 curl/8',
    lastStart: NOW - agoMs,
    lastEnd: NOW - agoMs + 1,
    announced: false,
  });
  const worker = (...scrapers: Reader[]): Scraped => side(NOW, scrapers, NOW - 3_600_000);
  const young = (...scrapers: Reader[]): Scraped => side(NOW, scrapers, NOW - 10_000);
  const unread = side(NOW, []);
  const waitingFor = (source: Scraped, target: Scraped, others: readonly Scraped[] = []): readonly string[] =>
    progressOf(source, target, others, NOW - 8_000, TTL).waitingFor;

  it('is not who read it once, and is who came again', () => {
    expect(waitingFor(worker(curl()), unread)).toEqual([]);
    expect(waitingFor(worker({ ...curl(), intervalMs: INTERVAL }), unread)).toEqual(['10.0.0.9 curl/8']);
  });

  it('is who announces itself, from the first scrape on', () => {
    const { intervalMs: _, ...first } = prometheus('p');
    expect(waitingFor(worker(first), unread)).toEqual(['p']);
  });

  it('is no longer who has missed three of its intervals', () => {
    expect(waitingFor(worker(prometheus('p', 59_000)), unread)).toEqual(['p']);
    expect(waitingFor(worker(prometheus('p', 61_000)), unread)).toEqual([]);
    const rare = { ...prometheus('p', 200_000), intervalMs: 120_000 };
    expect(waitingFor(worker(rare), unread)).toEqual(['p']);
  });

  it('is each of two that both read every worker, also where the target is new', () => {
    const both = worker(prometheus('p'), prometheus('q'));
    expect(waitingFor(both, worker(prometheus('p'), prometheus('q', 9_000)), [both])).toEqual(['q']);
    expect(waitingFor(both, young(prometheus('p')), [both])).toEqual(['q']);
    expect(waitingFor(both, young(prometheus('p'), prometheus('q')), [both])).toEqual([]);
  });

  it('is one of those who share the workers, whichever comes to the target', () => {
    const ofP = worker(prometheus('p'));
    const ofQ = worker(prometheus('q'));
    // Before anybody has read it, after a person has, after one of them has.
    expect(waitingFor(ofP, unread, [ofP, ofQ])).toEqual(['p']);
    expect(waitingFor(ofP, young(curl()), [ofP, ofQ])).toEqual(['p']);
    expect(waitingFor(ofP, young(prometheus('q')), [ofP, ofQ])).toEqual([]);
    // The same with the other's own worker as the target, and no third one to learn from.
    expect(waitingFor(ofP, worker(prometheus('q', 9_000)))).toEqual(['p']);
    expect(waitingFor(ofP, worker(prometheus('q')))).toEqual([]);
  });

  it('is the one that is known to read the target, though it does not read all workers', () => {
    const source = worker(prometheus('p'));
    expect(waitingFor(source, worker(prometheus('p', 9_000), prometheus('q')), [worker(prometheus('q'))])).toEqual([
      'p',
    ]);
  });

  it('is not taken for one that shares them only because another worker is new to it', () => {
    const source = worker(prometheus('p'), prometheus('q'));
    expect(waitingFor(source, young(prometheus('p')), [young(prometheus('p'))])).toEqual(['q']);
  });
});
