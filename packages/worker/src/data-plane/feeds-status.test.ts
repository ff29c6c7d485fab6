import { describe, expect, test } from 'vitest';
import { exporterTimes, notificationDelay } from '../exporter-api/exporter-lifecycle.ts';
import { SlotState } from '../feed/books/subscription.ts';
import type { Outage } from '../feed/health/outage.ts';
import { SlotRole } from '../slots/slot-plan.ts';
import { type StatusFeed, STALE_MS, feedsStatus } from './feeds-status.ts';
import { feed, type FeedOver, NOW, SLOTS, watch, type Watch } from './testing/status-feed.ts';

const status = (feeds: readonly StatusFeed[], resumedAt?: number, initialSyncComplete = true) =>
  feedsStatus(feeds, NOW, { resumedAt, initialSyncComplete });
const crdDelay = (feeds: readonly StatusFeed[], isWhole: boolean, now: number): number =>
  notificationDelay(exporterTimes(feeds, { resumedAt: undefined, initialSyncComplete: true }), isWhole, now);
const reason = (feeds: readonly StatusFeed[], resumedAt?: number, initialSyncComplete?: boolean): string =>
  status(feeds, resumedAt, initialSyncComplete).warmth(true).warmReason;

describe('an exposition is warm', () => {
  test('when every feed is open, listed and rendered', () => {
    expect(status([feed(), feed({ resource: 'nodes' })]).warmth(true)).toMatchObject({ warm: true, warmReason: '' });
  });

  test('without an assignment never', () => {
    expect(status([feed()]).warmth(false)).toMatchObject({ warm: false, warmReason: 'no assignment yet' });
  });

  test.each<[string, FeedOver, RegExp]>([
    ['is not open', { watches: undefined, createdAt: NOW - 5_000, problem: 'no route' }, /is not open: no route/],
    ['is not open for no known reason', { watches: undefined, createdAt: NOW - 5_000 }, /waiting for the API server/],
    ['is being listed', { filled: false }, /is being listed/],
    ['has no watch of the exporter', { watches: [] }, /the exporter has no watch on/],
    ['was listed, and no watch followed', { watches: [watch({ attached: false })] }, /the exporter has no watch on/],
    ['is not rendered', { watches: [watch({ initialPending: true })] }, /is not rendered yet/],
    ['came a moment ago', { createdAt: NOW - 500 }, /is opening its watches/],
  ])('not while a feed %s', (_, over, expected) => {
    expect(reason([feed(), feed(over)])).toMatch(expected);
  });

  test('not before the exporter has asked for anything', () => {
    expect(reason([])).toMatch(/has not asked for any resource/);
  });
});

const outage = (over: Partial<Outage> = {}): Outage => ({
  since: NOW - 5_000,
  at: 1_000,
  cause: 'forbidden',
  problem: 'pods is forbidden',
  isMending: false,
  ...over,
});

describe('a kind that cannot be read', () => {
  const loading = [SlotState.Loading, SlotState.Shown, SlotState.Shown, SlotState.Shown];
  const broken: readonly [string, StatusFeed][] = [
    ['was never open', feed({ watches: undefined, outage: outage() })],
    ['has lost its list', feed({ filled: false, outage: outage() })],
    ['the exporter has to start again', feed({ watches: [watch({ initialPending: true })], outage: outage() })],
    ['does not load a slot', feed({ watches: [watch({ states: loading })], outage: outage() })],
    ['the exporter does not get', feed({ watches: [], outage: outage() })],
    ['has been silent', feed({ provenAt: 0, outage: outage({ cause: 'silent' }) })],
  ];

  test.each(broken)('and %s, holds nothing back', (_, out) => {
    const taken = status([feed({ resource: 'nodes' }), out]);
    expect(taken.warmth(true)).toMatchObject({ warm: true, warmReason: '' });
    expect([taken.total, taken.synced, taken.stale(0), taken.leftOut]).toEqual([1, 1, [], 1]);
    expect(taken.acknowledgedSlots([0, 1, 2, 3])).toBe(4);
    expect([taken.acknowledged([0]), taken.acknowledged([0], true)]).toEqual([true, true]);
    expect(taken.unavailable).toMatchObject([{ kind: 'pods', message: 'pods is forbidden', since: 1_000 }]);
  });

  test('is waited for by slots that move once it is mended, but by nothing else', () => {
    const mending = feed({ watches: [watch({ states: loading })], outage: outage({ isMending: true }) });
    const taken = status([feed({ resource: 'nodes' }), mending]);
    expect([taken.warmth(true).warm, taken.acknowledgedSlots([0, 1])]).toEqual([true, 2]);
    expect([taken.acknowledged([0]), taken.acknowledged([1])]).toEqual([false, true]);
    expect(taken.acknowledged([0], true)).toBe(true);
    expect(taken.unavailable).toMatchObject([{ mending: true }]);
  });

  test('is not waited for while the exporter has yet to come back to it', () => {
    const mending = feed({ watches: [], outage: outage({ isMending: true }) });
    expect(status([feed({ resource: 'nodes' }), mending]).acknowledged([0])).toBe(true);
  });

  test('lets go of slots as any other, unless the exporter waits for a list that does not come', () => {
    const leaving = { states: [SlotState.Leaving, SlotState.Hidden, SlotState.Hidden, SlotState.Hidden] };
    const release = (over: Partial<Watch>): boolean =>
      status([
        feed({ watches: [watch({ states: [0, 0, 0, 0] })] }),
        feed({ outage: outage(), watches: [watch({ ...leaving, ...over })] }),
      ]).released([0]);
    expect([release({}), release({ collecting: true })]).toEqual([false, true]);
  });

  test('still counts with what the exporter shows of it', () => {
    const roles = new Uint8Array(SLOTS).fill(SlotRole.None);
    const taken = status([feed({ outage: outage() })]);
    expect([taken.objectCount(), taken.exposedSlots(roles)]).toEqual([3, 4]);
  });

  test('is named once, however many namespaces it is read in', () => {
    const out = [outage(), outage({ at: 500, problem: 'older' })].map((each) =>
      feed({ watches: undefined, outage: each }),
    );
    expect(status([feed(), ...out]).unavailable).toMatchObject([{ kind: 'pods', message: 'older', since: 500 }]);
  });

  test('is not named when the exporter has started over without it', () => {
    const crds = feed({ isQuiet: true, name: 'crds', startedAt: -Infinity, notifiedAt: NOW - 4_000 });
    const again = feed({ startedBeforeAt: NOW - 60_000, startedAt: NOW - 1_500 });
    const gone = feed({ name: 'gone', startedAt: NOW - 60_000, watches: [], outage: outage() });
    expect(status([crds, again, gone]).unavailable).toEqual([]);
  });
});

describe('an exporter that starts its watches twice, because of custom resources', () => {
  const crds = (notifiedAt: number): StatusFeed =>
    feed({ isQuiet: true, name: 'crds', startedAt: notifiedAt, notifiedAt });

  test('is waited for', () => {
    expect(reason([crds(NOW - 2_000), feed({ startedAt: NOW - 2_000 })])).toMatch(/is opening its watches/);
  });

  test('is whole once the second set has settled, or was due', () => {
    const started = (startedAt: number): StatusFeed => feed({ startedBeforeAt: NOW - 5_000, startedAt });
    expect(reason([crds(NOW - 5_000), started(NOW - 1_500)])).toBe('');
    expect(reason([crds(NOW - 5_000), started(NOW - 100)])).not.toBe('');
    expect(reason([crds(NOW - 11_000), feed()])).toBe('');
  });
});

describe('an exporter that starts over', () => {
  const crds = feed({ isQuiet: true, name: 'crds', startedAt: -Infinity, notifiedAt: NOW - 4_000 });
  const again = feed({ startedBeforeAt: NOW - 60_000, startedAt: NOW - 1_500 });
  const gone = feed({ name: 'gone', startedAt: NOW - 60_000, watches: [] });

  test('says so, until it is whole', () => {
    const partial = feed({
      startedBeforeAt: NOW - 60_000,
      startedAt: NOW - 1_500,
      watches: [watch({ initialPending: true })],
    });
    expect(status([crds, again, partial]).warmth(true)).toMatchObject({ warm: false, startsOver: true });
    expect(status([crds, again]).warmth(true)).toMatchObject({ warm: true, startsOver: false });
    expect(status([partial]).warmth(true)).toMatchObject({ warm: false, startsOver: false });
  });

  test('is notified of a kind that goes away although it is not whole because of it, but not of others then', () => {
    // It checked at NOW - 2_500, and does so again in 500 ms.
    const looked = (over: FeedOver = {}) => feed({ startedBeforeAt: NOW - 60_000, startedAt: NOW - 2_500, ...over });
    const empty = { filled: false, watches: [watch({ initialPending: true })] };
    expect(crdDelay([crds, looked()], true, NOW)).toBe(0);
    expect(crdDelay([crds, looked(), looked(empty)], false, NOW)).toBe(2_800);
    expect(crdDelay([crds, looked(), looked({ ...empty, problem: '404' })], false, NOW)).toBe(0);
  });

  test('does not wait for a kind that it has left', () => {
    expect(reason([crds, again, gone])).toBe('');
    expect(status([crds, again, gone]).acknowledged([0])).toBe(true);
    expect(reason([again, gone])).toMatch(/has no watch on gone/);
    // One of its newest start, whatever it was opened before.
    const lost = feed({
      name: 'lost',
      watches: [],
      startedBeforeAt: again.use.startedBeforeAt,
      startedAt: again.use.startedAt - 1,
    });
    expect(reason([crds, again, lost])).toMatch(/has no watch on lost/);
  });
});

describe('a resumed exporter', () => {
  test('is complete with what has come back, as long as that was not partial', () => {
    expect(
      status([feed({ watches: [watch({ initialPending: true, resumed: true })] })], NOW - 100).warmth(true).warm,
    ).toBe(true);
    const partial = feed({ initialSyncComplete: false, watches: [watch({ initialPending: true })] });
    expect(reason([partial], NOW - 100)).toMatch(/is opening/);
    expect(reason([partial], NOW - 20_000)).toMatch(/not rendered yet/);
  });

  test('that has not shown everything has to acknowledge all of it, however long it is back', () => {
    const late = feed({ initialSyncComplete: false, watches: [watch({ initialPending: true, resumed: true })] });
    expect(reason([feed()], NOW - 100, false)).toMatch(/is opening/);
    expect(reason([feed(), late], NOW - 100)).toMatch(/is opening/);
    expect(reason([feed(), late], NOW - 20_000, false)).toMatch(/not rendered yet/);
    const missing = feed({ isResumed: true, initialSyncComplete: false, watches: [], everSubscribed: false });
    expect(reason([feed(), missing], NOW - 20_000)).toMatch(/has no watch/);
    expect(reason([feed()], NOW - 20_000, false)).toBe('');
  });

  test('may take its time with a watch that it had', () => {
    const late = feed({ isResumed: true, watches: [], everSubscribed: false });
    expect(reason([feed(), late], NOW - 20_000)).toBe('');
  });

  test('is waited for when it is notified of a CRD, as any other is', () => {
    const notified = feed({ isQuiet: true, isResumed: true, startedAt: -Infinity, notifiedAt: NOW - 1_000 });
    for (const resumedAt of [NOW - 100, NOW - 60_000]) {
      expect(reason([notified, feed({ isResumed: true, startedAt: -Infinity })], resumedAt)).toMatch(/is opening/);
    }
    const restarted = feed({ isResumed: true, startedBeforeAt: -Infinity, startedAt: NOW - 1_000 });
    const notifiedBefore = feed({ isQuiet: true, isResumed: true, startedAt: -Infinity, notifiedAt: NOW - 3_000 });
    expect(reason([notifiedBefore, restarted])).toBe('');
  });

  test('acknowledges and releases nothing until most of its watches are back', () => {
    const gone = feed({ watches: [watch({ states: [0, 0, 0, 0] })] });
    expect([status([gone]).released([0]), status([gone], NOW - 100).released([0])]).toEqual([true, false]);
    expect([status([feed()]).acknowledged([0]), status([feed()], NOW - 100).acknowledged([0])]).toEqual([true, false]);
  });
});

describe('slots', () => {
  const half = watch({ states: [SlotState.Shown, SlotState.Sent, SlotState.Leaving, SlotState.Hidden] });

  test('are acknowledged when every watch shows them', () => {
    const taken = status([feed(), feed({ watches: [half] })]);
    expect([taken.acknowledged([0]), taken.acknowledged([0, 1])]).toEqual([true, false]);
    expect(taken.acknowledgedSlots([0, 1, 2, 3])).toBe(1);
  });

  test('are acknowledged on no feed while one is missing its list or its watch', () => {
    for (const over of [{ filled: false }, { watches: [] }]) {
      expect(status([feed(), feed(over)]).acknowledgedSlots([0, 1, 2, 3])).toBe(0);
    }
  });

  test('are shown when acknowledged, or by an exporter that comes back with everything', () => {
    expect(status([feed({ watches: [half] })]).shownSlots([0, 1, 2, 3])).toBe(1);
    const back = feed({ isResumed: true, filled: false, watches: [] });
    expect([status([back], NOW - 500), status([back], NOW - 500, false)].map((c) => c.shownSlots([0, 1]))).toEqual([
      2, 0,
    ]);
  });

  test('are released when no watch has any of it, a lost one included', () => {
    expect([
      status([feed({ watches: [half] })]).released([3]),
      status([feed({ watches: [half] })]).released([2]),
    ]).toEqual([true, false]);
    expect(status([feed({ watches: [watch({ attached: false })] })]).released([0])).toBe(false);
  });

  test('are not released before an exporter has started, or come back with all that it had', () => {
    expect(status([]).released([0])).toBe(false);
    expect(status([feed({ isQuiet: true })]).released([0])).toBe(false);
    expect(status([feed({ watches: undefined })]).released([0])).toBe(true);
    const hidden = feed({ watches: [watch({ states: [0, 0, 0, 0] })] });
    const late = feed({ isResumed: true, watches: [], everSubscribed: false });
    const unopened = feed({ isResumed: true, watches: undefined, createdAt: NOW - 5_000 });
    const lost = feed({ watches: [], everSubscribed: true });
    for (const other of [late, unopened, lost]) expect(status([hidden, other]).released([0])).toBe(false);
    expect(status([hidden, feed({ watches: [], everSubscribed: false })]).released([0])).toBe(true);
  });

  test('are exposed by role, and for as long as a watch has some of it', () => {
    const roles = Uint8Array.from([SlotRole.Owned, SlotRole.None, SlotRole.Release, SlotRole.None]);
    expect(status([feed({ watches: [half] })]).exposedSlots(roles)).toBe(3);
    expect(status([]).exposedSlots(undefined)).toBe(0);
  });

  test('count their objects over all feeds', () => {
    const taken = status([feed(), feed({ resource: 'nodes', sentPerSlot: [5, 0, 0, 0] }), feed()]);
    expect([taken.objects([0, 1]), taken.objectCount()]).toEqual([11, 11]);
    expect(taken.objectsByResource()).toEqual({ pods: 6, nodes: 5 });
  });
});

test('what waits is counted over all watches, and the first problem is told', () => {
  const taken = status([
    feed({ watches: [watch({ queuedFrames: 3 }), watch({ queuedFrames: 4 })] }),
    feed({ problem: 'slow' }),
  ]);
  expect([taken.queueDepth(), taken.problem()]).toEqual([7, 'slow']);
});

describe('a feed that hears nothing', () => {
  const deaf = feed({ name: 'deaf', provenAt: NOW - STALE_MS - 1 });

  test('is stale after 12 s, and not before', () => {
    expect(status([feed(), deaf]).stale(0)).toEqual(['deaf']);
    expect(status([feed({ provenAt: NOW - STALE_MS })]).stale(0)).toEqual([]);
  });

  test('is not stale while the server answers probes', () => {
    expect(status([deaf]).stale(NOW - 100)).toEqual([]);
  });

  test('makes the oldest proof', () => {
    expect(status([feed(), deaf]).oldestProofMs(0)).toBe(STALE_MS + 1);
    expect(status([]).oldestProofMs(0)).toBe(0);
  });

  test('does not count when it alone cannot be read', () => {
    expect(status([feed({ watches: undefined, outage: outage(), provenAt: 0 })]).stale(0)).toEqual([]);
  });
});
