import { describe, expect, test } from 'vitest';
import { protobufCodec } from '../../wire/frame-codec.ts';
import type { FrameView } from '../../wire/frame-view.ts';
import { POD } from '../../wire/testing/wire.ts';
import { resumeExporter } from './difference.ts';
import { beginLoad, completeLoad, offerItem } from './load.ts';
import { reconcileSlots } from './slots.ts';
import { FeedState } from './state.ts';
import type { FilterDecision } from './state-options.ts';
import { live, read, view } from './testing/pod-feed.ts';
import { WatchPeer } from './testing/watch-peer.ts';

describe('CRDs that are not to be seen to change', () => {
  const QUIET = 0;
  function newCrds(eventFilter?: (entry: object, view: FrameView) => FilterDecision): FeedState {
    return new FeedState({
      kind: POD,
      codec: protobufCodec,
      eventFilter,
      slotCount: 2,
      slotHash: (each) => (each.name().startsWith('shown') ? 1 : QUIET),
      quietSlot: QUIET,
      unsharded: true,
      position: '100',
      now: () => 0,
      onChange: () => {},
    });
  }
  function load(feed: FeedState, ...uids: readonly string[]): void {
    reconcileSlots(feed, undefined);
    const coverage = beginLoad(feed);
    for (const uid of uids) offerItem(feed, coverage, view, 0, read('ADDED', uid, '50'));
    completeLoad(feed, coverage, '100');
  }

  test('are in the first list, and then only the others change', () => {
    const feed = newCrds();
    const peer = new WatchPeer();
    feed.subscribe().attach(peer.response());
    load(feed, 'shown-a', 'quiet-b');
    expect([...peer.store.keys()]).toEqual(['shown-a', 'quiet-b']);
    peer.log.length = 0;
    for (const uid of ['quiet-b', 'shown-a']) live(feed, 'MODIFIED', uid, uid === 'quiet-b' ? '101' : '102');
    live(feed, 'ADDED', 'quiet-c', '103');
    live(feed, 'DELETED', 'quiet-b', '104');
    live(feed, 'DELETED', 'shown-a', '105');
    feed.flush();
    expect(peer.log).toEqual(['MODIFIED shown-a@102', 'DELETED shown-a@105']);
    expect(peer.ended).toBe(false);
  });

  test('of the others only what is news is told, and nothing before it may be', () => {
    const states = new Map<string, FilterDecision>([
      ['103', 'suppress'],
      ['104', 'forward'],
      ['105', 'dedupe'],
      ['106', 'forward'],
    ]);
    const feed = newCrds((_entry, each) => states.get(each.resourceVersion()) ?? 'forward');
    const peer = new WatchPeer();
    feed.subscribe().attach(peer.response());
    load(feed, 'shown-a');
    const notifiedAt = feed.notifiedAt;
    expect(notifiedAt).toBeDefined();
    live(feed, 'ADDED', 'shown-b', '103');
    live(feed, 'MODIFIED', 'shown-b', '104');
    live(feed, 'MODIFIED', 'shown-b', '105');
    live(feed, 'MODIFIED', 'shown-b', '106');
    feed.flush();
    const told = ['ADDED shown-a@50', 'BOOKMARK @100', 'ADDED shown-b@104', 'MODIFIED shown-b@106'];
    expect(peer.log).toEqual(told);
    // Whoever comes later gets what is known as well.
    const late = new WatchPeer();
    states.set('106', 'dedupe');
    feed.subscribe().attach(late.response());
    reconcileSlots(feed, undefined);
    const coverage = beginLoad(feed);
    offerItem(feed, coverage, view, 0, read('ADDED', 'shown-b', '106'));
    completeLoad(feed, coverage, '106');
    expect(late.log).toEqual(['ADDED shown-b@106', 'BOOKMARK @106']);
    expect(peer.log).toEqual(told);
  });

  test('stay unseen by a resumed exporter, come and go as they may', () => {
    const feed = newCrds();
    load(feed, 'shown-a', 'quiet-b');
    live(feed, 'ADDED', 'quiet-c', '101');
    live(feed, 'DELETED', 'quiet-c', '102');
    live(feed, 'MODIFIED', 'quiet-b', '103');
    live(feed, 'MODIFIED', 'shown-a', '104');
    const peer = new WatchPeer();
    const subscription = resumeExporter(feed, '100', undefined);
    subscription?.attach(peer.response());
    reconcileSlots(feed, undefined);
    const coverage = beginLoad(feed);
    offerItem(feed, coverage, view, 0, read('ADDED', 'shown-a', '104'));
    offerItem(feed, coverage, view, 0, read('ADDED', 'quiet-b', '103'));
    completeLoad(feed, coverage, '104');
    expect(peer.log).toEqual(['ADDED shown-a@104', 'BOOKMARK @104']);
  });
});
