import { describe, expect, test } from 'vitest';
import { FeedFreshness } from './freshness.ts';

const READ = { version: '200', isNews: true };

describe('a feed is as fresh as', () => {
  test('its newest event or bookmark, and the newest probe of a watch that is open and read', () => {
    const feed = new FeedFreshness(0);
    feed.opened(0);
    feed.heard(5_000, '100');
    expect(feed.proofAt(9_000, 0)).toBe(5_000);
    expect(feed.proofAt(9_000, 8_000)).toBe(8_000);
  });

  test('what was there before a watch that opens and breaks for ever, though probes are answered', () => {
    const feed = new FeedFreshness(0);
    feed.opened(0);
    feed.heard(5_000, '100');
    feed.closed(6_000);
    for (let now = 6_000; now < 30_000; now += 500) {
      feed.opened(now);
      feed.closed(now + 100);
    }
    expect(feed.proofAt(30_000, 30_000)).toBe(6_000);
  });

  test('what was there before reads that no watch has reached, however long each of them lives', () => {
    const feed = new FeedFreshness(0);
    feed.opened(0);
    for (let now = 4_000; now < 30_000; now += 2_000) {
      feed.opened(now);
      feed.read(now, now + 10, READ, '100');
      feed.look(now + 500);
      feed.closed(now + 1_500);
    }
    expect(feed.proofAt(30_000, 30_000)).toBe(4_000);
    feed.opened(30_000);
    feed.heard(30_500, '200');
    expect(feed.proofAt(31_500, 0)).toBe(30_500);
  });

  test('the last read that it reached, once a quiet watch leaves out what another one has brought', () => {
    const feed = new FeedFreshness(0);
    feed.opened(0);
    feed.read(10_000, 10_010, { version: '150', isNews: false }, '100');
    feed.look(13_500);
    expect([feed.isDeaf, feed.proofAt(19_000, 18_000)]).toEqual([false, 18_000]);
    feed.read(20_000, 20_010, READ, '100');
    feed.look(22_500);
    expect(feed.isDeaf).toBe(false);
    feed.look(23_100);
    expect([feed.isDeaf, feed.proofAt(24_000, 24_000)]).toEqual([true, 10_000]);
  });

  test('the moment from which its exporter takes nothing', () => {
    const feed = new FeedFreshness(0);
    feed.opened(0);
    feed.heard(5_000, '100');
    feed.paused(5_000);
    expect(feed.proofAt(30_000, 29_000)).toBe(5_000);
    feed.resumed(30_000);
    expect(feed.proofAt(31_000, 30_000)).toBe(30_000);
  });

  test('what is left of 75 s of silence: a bookmark comes every minute', () => {
    const feed = new FeedFreshness(0);
    feed.opened(0);
    feed.heard(5_000, '100');
    expect(feed.proofAt(100_000, 99_000)).toBe(80_000);
  });
});
