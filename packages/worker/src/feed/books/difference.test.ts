import { describe, expect, test } from 'vitest';
import { protobufObject } from '../../wire/testing/wire.ts';
import { applyFetched, compareWithList, completeRelist, resumeExporter } from './difference.ts';
import { beginLoad, completeLoad, offerItem } from './load.ts';
import { reconcileSlots } from './slots.ts';
import { ALL, everything, live, newFeed, read, roles, slotOf, view } from './testing/pod-feed.ts';
import { WatchPeer } from './testing/watch-peer.ts';

describe('a resumed exporter', () => {
  test('gets the deletion of what it holds and has not been sent again yet', () => {
    const feed = newFeed('50');
    const first = beginLoad(feed);
    offerItem(feed, first, view, 0, read('ADDED', 'held', '40'));
    completeLoad(feed, first, '61');
    const peer = new WatchPeer();
    peer.store.set('held', '40');
    resumeExporter(feed, '50', everything)?.attach(peer.response());
    reconcileSlots(feed, everything);
    const second = beginLoad(feed);
    live(feed, 'DELETED', 'held', '70');
    offerItem(feed, second, view, 0, read('ADDED', 'held', '40'));
    completeLoad(feed, second, '71');
    expect([...peer.store.keys()]).toEqual([]);
  });

  test('gets a deletion that the load had taken into account before the watch brought it', () => {
    const feed = newFeed('50');
    const coverage = beginLoad(feed);
    offerItem(feed, coverage, view, 0, read('ADDED', 'kept', '40'));
    completeLoad(feed, coverage, '61');
    const peer = new WatchPeer();
    for (const uid of ['kept', 'gone']) peer.store.set(uid, '40');
    const subscription = resumeExporter(feed, '50', everything);
    subscription?.attach(peer.response());
    reconcileSlots(feed, everything);
    const again = beginLoad(feed);
    offerItem(feed, again, view, 0, read('ADDED', 'kept', '40'));
    completeLoad(feed, again, '63');
    peer.log.length = 0;
    subscription?.attach(peer.response());
    live(feed, 'DELETED', 'gone', '60');
    live(feed, 'DELETED', 'unknown', '64');
    feed.flush();
    expect([...peer.store.keys()]).toEqual(['kept']);
    expect(peer.log.filter((line) => !line.startsWith('BOOKMARK'))).toEqual(['DELETED gone@60']);
  });
});

describe('a resumed exporter, while its objects are sent again', () => {
  test('loses those of a slot that is taken away before the load has reached it', () => {
    const feed = newFeed('50');
    const first = beginLoad(feed);
    offerItem(feed, first, view, 0, read('ADDED', 'held', '40'));
    completeLoad(feed, first, '50');
    const peer = new WatchPeer();
    peer.store.set('held', '40');
    resumeExporter(feed, '50', everything)?.attach(peer.response());
    reconcileSlots(feed, everything);
    beginLoad(feed);
    reconcileSlots(feed, roles(ALL.filter((slot) => slot !== slotOf('held'))));
    feed.flush();
    expect([...peer.store.keys()]).toEqual([]);
  });

  test('loses what the load had left out already when the watch that would have said so has a gap', () => {
    const feed = newFeed('50');
    const first = beginLoad(feed);
    for (const uid of ['kept', 'gone']) offerItem(feed, first, view, 0, read('ADDED', uid, '40'));
    completeLoad(feed, first, '50');
    const peer = new WatchPeer();
    for (const uid of ['kept', 'gone']) peer.store.set(uid, '40');
    resumeExporter(feed, '50', everything)?.attach(peer.response());
    reconcileSlots(feed, everything);
    const again = beginLoad(feed);
    offerItem(feed, again, view, 0, read('ADDED', 'kept', '40'));
    completeLoad(feed, again, '63');
    const [subscription] = feed.subscriptions;
    if (subscription === undefined) throw new Error('no subscription');
    peer.rewatch(subscription);
    const seen = new Map([['kept', { version: '40', namespace: 'ns', name: 'kept', slot: slotOf('kept') }]]);
    compareWithList(feed, seen, '70', false);
    completeRelist(feed, '70');
    expect([...peer.store.keys()]).toEqual(['kept']);
  });

  test('lists again when the watch has a gap and deletions in it cannot be known', () => {
    const feed = newFeed('50');
    const first = beginLoad(feed);
    offerItem(feed, first, view, 0, read('ADDED', 'kept', '40'));
    // Ahead of the watch, which would have brought the deletion of `gone` at 60.
    completeLoad(feed, first, '61');
    const peer = new WatchPeer();
    const subscription = resumeExporter(feed, '50', everything);
    subscription?.attach(peer.response());
    const seen = new Map([['kept', { version: '40', namespace: 'ns', name: 'kept', slot: slotOf('kept') }]]);
    compareWithList(feed, seen, '70', false);
    completeRelist(feed, '70');
    expect(subscription?.closed).toBe(true);
    expect(resumeExporter(feed, '50', everything)).toBeUndefined();
    expect(resumeExporter(feed, '70', everything)).toBeDefined();
  });
});

describe('a metadata list after a gap in the watch', () => {
  test('deletes what is gone, asks for what differs, and nothing else', () => {
    const feed = newFeed();
    const peer = new WatchPeer();
    const subscription = feed.subscribe();
    subscription.attach(peer.response());
    reconcileSlots(feed, everything);
    const coverage = beginLoad(feed);
    for (const uid of ['same', 'changed', 'gone']) offerItem(feed, coverage, view, 0, read('ADDED', uid, '10'));
    completeLoad(feed, coverage, '100');
    peer.rewatch(subscription);
    peer.log.length = 0;
    const object = (version: string): { version: string; namespace: string; name: string; slot: number } => ({
      version,
      namespace: 'ns',
      name: 'x',
      slot: 1,
    });
    const seen = new Map([
      ['same', object('10')],
      ['changed', object('110')],
      ['new', object('111')],
    ]);
    const stale = compareWithList(feed, seen, '120', false);
    expect([...stale.keys()].sort()).toEqual(['changed', 'new']);
    applyFetched(feed, protobufObject({ uid: 'changed', name: 'x', version: '110' }), view);
    applyFetched(feed, protobufObject({ uid: 'new', name: 'x', version: '125' }), view);
    completeRelist(feed, '120');
    // A resume in between starts from before the gap.
    expect(peer.log.filter((line) => line !== 'BOOKMARK @100')).toEqual([
      'DELETED gone@100',
      'MODIFIED changed@110',
      'ADDED new@125',
      'BOOKMARK @120',
    ]);
    // The watch continues from 120 and brings what the fetch was ahead with.
    live(feed, 'ADDED', 'new', '121');
    live(feed, 'MODIFIED', 'new', '125');
    feed.flush();
    expect(peer.log).toHaveLength(6);
  });
});
