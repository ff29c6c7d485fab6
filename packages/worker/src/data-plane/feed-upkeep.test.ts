import { expect, test } from 'vitest';
import { lostSubscriptions, nextToCompare } from './feed-upkeep.ts';

const subscription = (id: number, awaited: number, stalled = 0) => ({
  id,
  awaitedMs: () => awaited,
  stalledMs: () => stalled,
});

test('a watch is lost whose exporter stays away, sooner where it has another one, or takes nothing', () => {
  const ids = (...all: ReturnType<typeof subscription>[]): number[] => lostSubscriptions(all, 0).map(({ id }) => id);
  expect(ids(subscription(1, 60_000))).toEqual([]);
  expect(ids(subscription(1, 60_001))).toEqual([1]);
  expect(ids(subscription(1, 5_001), subscription(2, 5_001))).toEqual([1]);
  // A thousand watches come back one after the other.
  expect(lostSubscriptions([subscription(1, 260_000)], 1_000)).toEqual([]);
  expect(lostSubscriptions([subscription(1, 260_001)], 1_000)).toHaveLength(1);
  expect(ids(subscription(1, 0, 60_001), subscription(2, 0))).toEqual([1]);
});

test('that feed is compared which has said nothing for the longest time, one at a time', () => {
  const feed = (name: string, comparedAt: number, lastFrameAt: number, connected = true) => ({
    name,
    comparedAt,
    lastFrameAt,
    connected,
  });
  const feeds = [feed('a', 1_000, 3_000), feed('b', 2_000, 500), feed('cut', 0, 0, false)];
  expect(nextToCompare(feeds, 9_999)).toBeUndefined();
  expect(nextToCompare(feeds, 10_000)?.name).toBe('b');
  expect(nextToCompare([...feeds, feed('c', 1_999, 0)], 20_000)?.name).toBe('c');
});
