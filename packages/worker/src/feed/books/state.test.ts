import { describe, expect, test } from 'vitest';
import { protobufCodec } from '../../wire/frame-codec.ts';
import { protobufBookmark, protobufFrame, protobufObject } from '../../wire/testing/wire.ts';
import { applyEvent } from './events.ts';
import { beginLoad, completeLoad, type LoadCoverage, offerItem } from './load.ts';
import { reconcileSlots } from './slots.ts';
import { SlotState } from './subscription.ts';
import { ALL, everything, live, newFeed, type PodEvent, read, view } from './testing/pod-feed.ts';
import { WatchPeer } from './testing/watch-peer.ts';

describe('counting', () => {
  test('is exact as of any position since the newest load, whatever has come and gone', () => {
    const feed = newFeed();
    const peer = new WatchPeer();
    const subscription = feed.subscribe();
    subscription.attach(peer.response());
    reconcileSlots(feed, everything);
    completeLoad(feed, beginLoad(feed), '100');
    const all = new Set(ALL);
    const expected = new Map([['100', feed.digest(all, '100')]]);
    const events: PodEvent[] = [
      ['ADDED', 'a', 101],
      ['ADDED', 'b', 102],
      ['MODIFIED', 'a', 103],
      ['DELETED', 'a', 104],
      ['ADDED', 'c', 105],
      ['DELETED', 'b', 106],
    ];
    for (const [type, uid, version] of events) {
      live(feed, type, uid, String(version));
      expected.set(String(version), feed.digest(all, String(version)));
    }
    for (const [version, digest] of expected) expect([version, feed.digest(all, version)]).toEqual([version, digest]);
    expect([...expected.values()].map(({ count }) => count)).toEqual([0, 1, 2, 2, 1, 2, 1]);
    expect(() => feed.digest(all, '99')).toThrow('older than the newest load');
  });

  test('of some namespaces is of what was there in them', () => {
    const feed = newFeed();
    feed.subscribe().attach(new WatchPeer().response());
    reconcileSlots(feed, everything);
    completeLoad(feed, beginLoad(feed), '100');
    live(feed, 'ADDED', 'a', '101');
    live(feed, 'ADDED', 'b', '102');
    live(feed, 'DELETED', 'a', '103');
    const namespaces = new Set([...feed.index.entries()].map(([, { namespace }]) => namespace));
    const count = (version: string, of: ReadonlySet<string>): number => feed.digest(new Set(ALL), version, of).count;
    expect(['101', '102', '103'].map((version) => count(version, namespaces))).toEqual([1, 2, 1]);
    expect(['101', '102', '103'].map((version) => count(version, new Set(['other'])))).toEqual([0, 0, 0]);
  });

  test('misses an object that was withheld', () => {
    const count = (omit: boolean): number => {
      const feed = newFeed('100', () => (omit ? 'suppress' : 'forward'));
      feed.subscribe().attach(new WatchPeer().response());
      reconcileSlots(feed, everything);
      const coverage = beginLoad(feed);
      offerItem(feed, coverage, view, 0, read('ADDED', 'a', '5'));
      completeLoad(feed, coverage, '100');
      return feed.digest(new Set(ALL), '100').count;
    };
    expect([count(false), count(true)]).toEqual([1, 0]);
  });
});

describe('a subscription', () => {
  test('whose exporter takes nothing is full, and has room again when it takes', async () => {
    const feed = newFeed();
    const peer = new WatchPeer();
    const subscription = feed.subscribe();
    subscription.attach(peer.response());
    reconcileSlots(feed, everything);
    completeLoad(feed, beginLoad(feed), '100');
    peer.rewatch(subscription);
    peer.takes = false;
    const big = protobufFrame('ADDED', protobufObject({ uid: 'big', name: 'n', version: '101', ballast: 1_000_000 }));
    for (let i = 0; i < 6; i++) {
      protobufCodec.readWhole(big, view);
      subscription.upsert('big', view, 0, big.length, false);
      subscription.flush();
    }
    expect(subscription.full).toBe(true);
    let hasRoom = false;
    void subscription.room().then(() => {
      hasRoom = true;
    });
    await Promise.resolve();
    expect(hasRoom).toBe(false);
    peer.drain();
    await Promise.resolve();
    expect([subscription.full, hasRoom, subscription.queuedFrames]).toEqual([false, true, 0]);
  });

  test('that was left while it waited does not catch the watch of the one that replaced it', async () => {
    const feed = newFeed();
    for (const peer of [new WatchPeer(), new WatchPeer()]) {
      const subscription = feed.subscribe();
      subscription.attach(peer.response());
      reconcileSlots(feed, everything);
      completeLoad(feed, beginLoad(feed), '100');
    }
    const [left, newer] = feed.subscriptions;
    expect([left?.awaitedVersion, newer?.awaitedVersion]).toEqual(['100', '100']);
    expect(feed.awaiting('100')).toBe(newer);
  });

  test('whose exporter had gone before its watch was answered does not stay', () => {
    const feed = newFeed();
    const peer = new WatchPeer();
    peer.destroyed = true;
    feed.subscribe().attach(peer.response());
    expect(feed.subscriptions).toEqual([]);
  });

  test('that its exporter leaves is forgotten, and nothing counts as sent any more', () => {
    const feed = newFeed();
    const peer = new WatchPeer();
    feed.subscribe().attach(peer.response());
    reconcileSlots(feed, everything);
    live(feed, 'ADDED', 'a', '101');
    expect(feed.index.sentCount).toBe(1);
    peer.leave();
    expect([feed.subscriptions.length, feed.index.sentCount]).toEqual([0, 0]);
  });

  test('that takes the place of one which ended during a load is sent all that the load went on to deliver', () => {
    const feed = newFeed();
    const uids = ['before', 'after'];
    const offer = (coverage: LoadCoverage, uid: string): void =>
      offerItem(feed, coverage, view, 0, read('ADDED', uid, '40'));
    const fill = beginLoad(feed);
    for (const uid of uids) offer(fill, uid);
    completeLoad(feed, fill, '100');

    const left = new WatchPeer();
    feed.subscribe().attach(left.response());
    reconcileSlots(feed, everything);
    const interrupted = beginLoad(feed);
    offer(interrupted, 'before');
    left.leave();
    const peer = new WatchPeer();
    feed.subscribe().attach(peer.response());
    reconcileSlots(feed, everything);
    // The load of the one that left continues: nothing of it may count as sent to its successor, which has its mark.
    offer(interrupted, 'after');
    completeLoad(feed, interrupted, '100');
    expect(feed.subscriptions[0]?.slots.every((state) => state === SlotState.Loading)).toBe(true);

    const coverage = beginLoad(feed);
    for (const uid of uids) offer(coverage, uid);
    completeLoad(feed, coverage, '100');
    expect([...peer.store.keys()].sort()).toEqual(['after', 'before']);
  });

  test('is one of any number: a kind of the whole cluster may be watched once per namespace', () => {
    const feed = newFeed();
    const peers = Array.from({ length: 60 }, () => new WatchPeer());
    const subscriptions = peers.map((peer) => {
      const subscription = feed.subscribe();
      subscription.attach(peer.response());
      return subscription;
    });
    reconcileSlots(feed, everything);
    completeLoad(feed, beginLoad(feed), '100');
    for (const [i, subscription] of subscriptions.entries()) peers[i]?.rewatch(subscription);
    live(feed, 'ADDED', 'a', '101');
    live(feed, 'ADDED', 'b', '102');
    live(feed, 'DELETED', 'b', '103');
    feed.flush();
    for (const peer of peers) expect([...peer.store.keys()]).toEqual(['a']);
    const [left, ...others] = peers;
    expect(feed.digest(new Set(ALL), '102').count).toBe(2);
    left?.leave();
    expect([feed.subscriptions.length, feed.index.sentCount]).toEqual([59, 1]);
    const late = new WatchPeer();
    feed.subscribe().attach(late.response());
    expect(feed.digest(new Set(ALL), '103').count).toBe(0);
    for (const peer of others) peer.leave();
    expect([feed.subscriptions.length, feed.index.sentCount]).toEqual([1, 0]);
  });

  test('passes bookmarks on, so that the resume point of an idle exporter stays fresh', () => {
    const feed = newFeed();
    const peer = new WatchPeer();
    feed.subscribe().attach(peer.response());
    const frame = protobufBookmark('150');
    protobufCodec.readWhole(frame, view);
    applyEvent(feed, view, 0, frame.length);
    feed.flush();
    expect([peer.resumeVersion, feed.position]).toEqual(['150', '150']);
  });
});
