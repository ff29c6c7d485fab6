import { describe, expect, test } from 'vitest';
import { SlotRole } from '../../slots/slot-plan.ts';
import { resumeExporter } from './difference.ts';
import { beginLoad, completeLoad, offerItem } from './load.ts';
import { letGoUnasked, reconcileSlots } from './slots.ts';
import { SlotState } from './subscription.ts';
import { ALL, everything, live, newFeed, read, roles, slotOf, view } from './testing/pod-feed.ts';
import { WatchPeer } from './testing/watch-peer.ts';

describe('slots', () => {
  function loaded(uids: readonly string[], owned = everything) {
    let now = 0;
    const feed = newFeed(undefined, undefined, () => now);
    const peer = new WatchPeer();
    const subscription = feed.subscribe();
    subscription.attach(peer.response());
    reconcileSlots(feed, owned);
    const coverage = beginLoad(feed);
    for (const [i, uid] of uids.entries()) offerItem(feed, coverage, view, 0, read('ADDED', uid, String(i + 1)));
    completeLoad(feed, coverage, '100');
    peer.rewatch(subscription);
    const pass = (ms: number): void => void (now += ms);
    return { feed, peer, pass };
  }
  const uids = Array.from({ length: 200 }, (_, i) => `uid-${i}`);

  test('are shown only after the exporter has come back at the bookmark', async () => {
    const feed = newFeed();
    const peer = new WatchPeer();
    const subscription = feed.subscribe();
    subscription.attach(peer.response());
    reconcileSlots(feed, everything);
    const coverage = beginLoad(feed);
    offerItem(feed, coverage, view, 0, read('ADDED', 'u1', '7'));
    completeLoad(feed, coverage, '100');
    await Promise.resolve();
    expect(peer.log).toEqual(['ADDED u1@7', 'BOOKMARK @100']);
    expect(peer.ended).toBe(true);
    expect(subscription.slots[0]).toBe(SlotState.Sent);
    expect(subscription.initialPending).toBe(true);
    live(feed, 'ADDED', 'u2', '101');
    feed.flush();
    expect(peer.store.has('u2')).toBe(false);
    peer.rewatch(subscription);
    await Promise.resolve();
    expect(subscription.slots[0]).toBe(SlotState.Shown);
    expect(subscription.initialPending).toBe(false);
    expect(peer.store.has('u2')).toBe(true);
  });

  test('that are released leave late objects of other slots where they are', () => {
    const { feed, peer } = loaded(uids);
    const [first = 0, second = 0] = new Set(uids.map(slotOf));
    const shows = (slot: number): number => uids.filter((uid) => slotOf(uid) === slot && peer.store.has(uid)).length;
    const released = everything.with(first, SlotRole.Release);
    const before = shows(first);
    expect(before).toBeGreaterThan(0);
    reconcileSlots(feed, released);
    // Nobody has compared them: all of them are late.
    expect(shows(first)).toBe(before);
    feed.verified.compared([second], 'm', feed.position);
    reconcileSlots(feed, released.with(second, SlotRole.Release));
    expect([shows(first), shows(second)]).toEqual([before, 0]);
  });

  test('with late objects that no manager asks about are let go after 30 s', () => {
    const { feed, peer, pass } = loaded(uids);
    const slot = slotOf(uids[0] ?? '');
    const shows = (): boolean => uids.some((uid) => slotOf(uid) === slot && peer.store.has(uid));
    reconcileSlots(feed, everything.with(slot, SlotRole.Release));
    pass(29_999);
    letGoUnasked(feed);
    feed.noteLateAsked();
    pass(29_999);
    letGoUnasked(feed);
    expect(shows()).toBe(true);
    pass(1);
    letGoUnasked(feed);
    expect(shows()).toBe(false);
  });

  test('that come back with late objects are sent again: what changed in the meantime was not', () => {
    const { feed, peer } = loaded(uids);
    const [uid = ''] = uids;
    reconcileSlots(feed, everything.with(slotOf(uid), SlotRole.Release));
    live(feed, 'MODIFIED', uid, '101');
    feed.flush();
    expect(peer.store.get(uid)).toBe('1');
    reconcileSlots(feed, everything);
    const coverage = beginLoad(feed);
    offerItem(feed, coverage, view, 0, read('ADDED', uid, '101'));
    completeLoad(feed, coverage, '101');
    expect(peer.store.get(uid)).toBe('101');
  });

  test('that are released delete exactly their objects, at the live position', async () => {
    const { feed, peer } = loaded(uids);
    const kept = ALL.slice(0, 32);
    reconcileSlots(feed, roles(kept));
    const subscription = feed.subscriptions[0];
    if (subscription === undefined) throw new Error('no subscription');
    expect(subscription.slots[40]).toBe(SlotState.Leaving);
    expect(peer.ended).toBe(true);
    peer.rewatch(subscription);
    await Promise.resolve();
    expect(subscription.slots[40]).toBe(SlotState.Hidden);
    expect([...peer.store.keys()].sort()).toEqual(uids.filter((uid) => slotOf(uid) < 32).sort());
    expect(peer.log.filter((line) => line.startsWith('DELETED')).every((line) => line.endsWith('@100'))).toBe(true);
    live(feed, 'MODIFIED', uids.find((uid) => slotOf(uid) > 40) ?? '', '101');
    feed.flush();
    expect(peer.store.size).toBe(uids.filter((uid) => slotOf(uid) < 32).length);
  });

  test('that all leave while an exporter waits for its list leave it an empty one', () => {
    const feed = newFeed();
    completeLoad(feed, beginLoad(feed), '100');
    const answers: [number, string][] = [];
    feed.subscribe().collect((objects, version) => void answers.push([objects.length, version]));
    reconcileSlots(feed, everything);
    reconcileSlots(feed, roles([]));
    expect(answers).toEqual([[0, '100']]);
  });

  test('that come back while they leave are loaded again', async () => {
    const { feed, peer } = loaded(uids);
    reconcileSlots(feed, roles(ALL.slice(0, 32)));
    expect(reconcileSlots(feed, everything)).toBe(true);
    const coverage = beginLoad(feed);
    for (const [i, uid] of uids.entries()) offerItem(feed, coverage, view, 0, read('ADDED', uid, String(i + 1)));
    completeLoad(feed, coverage, '100');
    const [subscription] = feed.subscriptions;
    if (subscription === undefined) throw new Error('no subscription');
    while (subscription.awaitedVersion !== undefined) peer.rewatch(subscription);
    await Promise.resolve();
    expect(peer.store.size).toBe(uids.length);
    expect(subscription.slots.every((state) => state === SlotState.Shown)).toBe(true);
  });

  test('that are marked again during a load are not completed by it', () => {
    const feed = newFeed();
    feed.subscribe().attach(new WatchPeer().response());
    reconcileSlots(feed, roles([5]));
    const coverage = beginLoad(feed);
    reconcileSlots(feed, roles([]));
    reconcileSlots(feed, roles([5]));
    completeLoad(feed, coverage, '100');
    expect(feed.subscriptions[0]?.slots[5]).toBe(SlotState.Loading);
  });

  test('of a resumed exporter: what is not its own is deleted, what went meanwhile too', () => {
    const feed = newFeed('50');
    live(feed, 'DELETED', 'gone', '60');
    const coverage = beginLoad(feed);
    for (const uid of uids) offerItem(feed, coverage, view, 0, read('ADDED', uid, '40'));
    completeLoad(feed, coverage, '61');
    const peer = new WatchPeer();
    for (const uid of [...uids, 'gone']) peer.store.set(uid, '1');
    const owned = roles(ALL.slice(0, 32));
    const subscription = resumeExporter(feed, '55', owned);
    if (subscription === undefined) throw new Error('not resumed');
    subscription.attach(peer.response());
    reconcileSlots(feed, owned);
    const again = beginLoad(feed);
    for (const uid of uids) offerItem(feed, again, view, 0, read('ADDED', uid, '40'));
    completeLoad(feed, again, '61');
    const expected = uids.filter((uid) => slotOf(uid) < 32).map((uid): [string, string] => [uid, '40']);
    expect(peer.store).toEqual(new Map(expected));
    expect(resumeExporter(feed, '49', owned)).toBeUndefined();
  });
});
