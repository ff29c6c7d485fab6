import { describe, expect, test } from 'vitest';
import { beginLoad, completeLoad, offerItem } from './load.ts';
import { reconcileSlots } from './slots.ts';
import { everything, live, newFeed, type PodEvent, read, roles, slotOf, stateAfter, view } from './testing/pod-feed.ts';
import { WatchPeer } from './testing/watch-peer.ts';

const HISTORIES: Readonly<Record<string, readonly PodEvent[]>> = {
  'an object changes': [
    ['ADDED', 'u1', 101],
    ['MODIFIED', 'u1', 102],
    ['MODIFIED', 'u1', 103],
  ],
  'an object goes': [
    ['ADDED', 'u1', 101],
    ['MODIFIED', 'u1', 102],
    ['DELETED', 'u1', 103],
  ],
  'an object is re-created under the same name': [
    ['ADDED', 'u1', 101],
    ['DELETED', 'u1', 102],
    ['ADDED', 'u2', 103],
    ['MODIFIED', 'u2', 104],
    ['DELETED', 'u2', 105],
    ['ADDED', 'u3', 106],
  ],
  'an object leaves a selector and enters it again': [
    ['ADDED', 'u1', 101],
    ['DELETED', 'u1', 102],
    ['ADDED', 'u1', 103],
    ['MODIFIED', 'u1', 104],
  ],
  'two objects change in turns': [
    ['ADDED', 'u1', 101],
    ['ADDED', 'u2', 102],
    ['MODIFIED', 'u1', 103],
    ['DELETED', 'u2', 104],
    ['MODIFIED', 'u1', 105],
  ],
};

describe('list items and events of the same objects', () => {
  for (const [name, history] of Object.entries(HISTORIES)) {
    test(`end in the newest state in every order: ${name}`, () => {
      let orders = 0;
      // The slots are marked after `marked` events; the list is as of `snapshot` events; its items come after `offered`.
      for (let marked = 0; marked <= history.length; marked++) {
        for (let snapshot = marked; snapshot <= history.length; snapshot++) {
          for (let offered = marked; offered <= history.length; offered++) {
            play({ history, marked, snapshot, offered, before: 'nothing' });
            play({ history, marked, snapshot, offered, before: 'all uids' });
            for (const uid of ['u1', 'u2', 'u3']) play({ history, marked, snapshot, offered, before: uid });
            orders += 5;
          }
        }
      }
      expect(orders).toBeGreaterThan(100);
    });
  }
});

interface Order {
  readonly history: readonly PodEvent[];
  readonly marked: number;
  readonly snapshot: number;
  readonly offered: number;
  /**
   * What the feed knows before the slots are marked: it begins there, or it has seen everything, or it shows the slot
   * of one uid already, so that the load is not about that one.
   */
  readonly before: string;
}

function play({ history, marked, snapshot, offered, before }: Order): void {
  const order = `marked ${marked}, snapshot ${snapshot}, offered ${offered}, before ${before}`;
  const feed = newFeed(before === 'nothing' ? String(100 + marked) : '100');
  const peer = new WatchPeer();
  const apply = (from: number, to: number): void => {
    for (const [type, uid, version] of history.slice(from, to)) live(feed, type, uid, String(version));
    feed.flush();
  };
  const subscription = feed.subscribe();
  subscription.attach(peer.response());
  const shown = before.startsWith('u') ? [slotOf(before)] : [];
  reconcileSlots(feed, roles(shown));
  if (before !== 'nothing') {
    completeLoad(feed, beginLoad(feed), '100');
    if (shown.length > 0) peer.rewatch(subscription);
    apply(0, marked);
  }
  expect(reconcileSlots(feed, everything)).toBe(true);
  const coverage = beginLoad(feed);
  apply(marked, offered);
  for (const [uid, version] of stateAfter(history, snapshot)) {
    offerItem(feed, coverage, view, 0, read('ADDED', uid, String(version)));
  }
  feed.flush();
  completeLoad(feed, coverage, String(100 + snapshot));
  peer.rewatch(subscription);
  apply(offered, history.length);
  const expected = Object.fromEntries([...stateAfter(history, history.length)].map(([uid, at]) => [uid, String(at)]));
  expect([order, Object.fromEntries(peer.store), peer.regressions]).toEqual([order, expected, []]);
  expect(feed.index.sentCount).toBe(peer.store.size);
}
