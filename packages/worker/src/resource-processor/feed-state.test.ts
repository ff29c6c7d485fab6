import { rangesToSlots } from '@shard-controller/shared/hashing';
import { describe, expect, test } from 'vitest';
import { SlotRole } from '../migration-handler/index.ts';
import { compareWithList, resumeExporter } from './feed-difference.ts';
import { FeedState, type LoadCoverage, type Novelty } from './feed-state.ts';
import { protobufCodec } from './frame-codec.ts';
import { FrameView } from './frame-view.ts';
import { slotHashOf } from './slot-hash.ts';
import { SlotState } from './subscription.ts';
import { WatchPeer } from './testing/watch-peer.ts';
import { POD, protobufBookmark, protobufFrame, protobufObject } from './testing/wire.ts';

const SLOTS = 64;
const ALL = rangesToSlots([{ start: 0, end: 4294967295 }], SLOTS);
const everything = roles(ALL);

function roles(owned: readonly number[]): Uint8Array {
  const result = new Uint8Array(SLOTS);
  for (const slot of owned) result[slot] = SlotRole.Owned;
  return result;
}

function newFeed(position = '100', withholds?: (uid: string) => boolean): FeedState {
  return new FeedState({
    kind: POD,
    codec: protobufCodec,
    slotCount: SLOTS,
    slotHash: slotHashOf('uid', SLOTS),
    position,
    withholds,
    now: () => 0,
    onChange: () => {},
  });
}

const view = new FrameView();

function read(type: string, uid: string, version: string, name = uid): number {
  const frame = protobufFrame(type, protobufObject({ uid, name, namespace: 'ns', version }));
  protobufCodec.readWhole(frame, view);
  return frame.length;
}

function live(feed: FeedState, type: string, uid: string, version: string): void {
  feed.live(view, 0, read(type, uid, version));
}

type Event = readonly ['ADDED' | 'MODIFIED' | 'DELETED', uid: string, version: number];

/** What the API server holds after the first `count` events. */
function stateAfter(history: readonly Event[], count: number): Map<string, number> {
  const state = new Map<string, number>();
  for (const [type, uid, version] of history.slice(0, count)) {
    if (type === 'DELETED') state.delete(uid);
    else state.set(uid, version);
  }
  return state;
}

const HISTORIES: Readonly<Record<string, readonly Event[]>> = {
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
  readonly history: readonly Event[];
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
  feed.plan(roles(shown));
  if (before !== 'nothing') {
    feed.completeLoad(feed.beginLoad(), '100');
    if (shown.length > 0) peer.rewatch(subscription);
    apply(0, marked);
  }
  expect(feed.plan(everything)).toBe(true);
  const coverage = feed.beginLoad();
  apply(marked, offered);
  for (const [uid, version] of stateAfter(history, snapshot)) {
    feed.offer(coverage, view, 0, read('ADDED', uid, String(version)));
  }
  feed.flush();
  feed.completeLoad(coverage, String(100 + snapshot));
  peer.rewatch(subscription);
  apply(offered, history.length);
  const expected = Object.fromEntries([...stateAfter(history, history.length)].map(([uid, at]) => [uid, String(at)]));
  expect([order, Object.fromEntries(peer.store), peer.regressions]).toEqual([order, expected, []]);
  expect(feed.index.sentCount).toBe(peer.store.size);
}

function slotOf(uid: string): number {
  read('ADDED', uid, '1');
  return slotHashOf('uid', SLOTS)(view);
}

describe('slots', () => {
  function loaded(uids: readonly string[], owned = everything): { feed: FeedState; peer: WatchPeer } {
    const feed = newFeed();
    const peer = new WatchPeer();
    const subscription = feed.subscribe();
    subscription.attach(peer.response());
    feed.plan(owned);
    const coverage = feed.beginLoad();
    for (const [i, uid] of uids.entries()) feed.offer(coverage, view, 0, read('ADDED', uid, String(i + 1)));
    feed.completeLoad(coverage, '100');
    peer.rewatch(subscription);
    return { feed, peer };
  }
  const uids = Array.from({ length: 200 }, (_, i) => `uid-${i}`);

  test('are shown only after the exporter has come back at the bookmark', async () => {
    const feed = newFeed();
    const peer = new WatchPeer();
    const subscription = feed.subscribe();
    subscription.attach(peer.response());
    feed.plan(everything);
    const coverage = feed.beginLoad();
    feed.offer(coverage, view, 0, read('ADDED', 'u1', '7'));
    feed.completeLoad(coverage, '100');
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

  test('that are withdrawn delete exactly their objects, at the live position', async () => {
    const { feed, peer } = loaded(uids);
    const kept = ALL.slice(0, 32);
    feed.plan(roles(kept));
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
    feed.completeLoad(feed.beginLoad(), '100');
    const answers: [number, string][] = [];
    feed.subscribe().collect((objects, version) => void answers.push([objects.length, version]));
    feed.plan(everything);
    feed.plan(roles([]));
    expect(answers).toEqual([[0, '100']]);
  });

  test('that come back while they leave are loaded anew', async () => {
    const { feed, peer } = loaded(uids);
    feed.plan(roles(ALL.slice(0, 32)));
    expect(feed.plan(everything)).toBe(true);
    const coverage = feed.beginLoad();
    for (const [i, uid] of uids.entries()) feed.offer(coverage, view, 0, read('ADDED', uid, String(i + 1)));
    feed.completeLoad(coverage, '100');
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
    feed.plan(roles([5]));
    const coverage = feed.beginLoad();
    feed.plan(roles([]));
    feed.plan(roles([5]));
    feed.completeLoad(coverage, '100');
    expect(feed.subscriptions[0]?.slots[5]).toBe(SlotState.Loading);
  });

  test('of an exporter from before this process: what is not its own is deleted, what went meanwhile too', () => {
    const feed = newFeed('50');
    live(feed, 'DELETED', 'gone', '60');
    const coverage = feed.beginLoad();
    for (const uid of uids) feed.offer(coverage, view, 0, read('ADDED', uid, '40'));
    feed.completeLoad(coverage, '61');
    const peer = new WatchPeer();
    for (const uid of [...uids, 'gone']) peer.store.set(uid, '1');
    const owned = roles(ALL.slice(0, 32));
    const subscription = resumeExporter(feed, '55', owned);
    if (subscription === undefined) throw new Error('not resumed');
    subscription.attach(peer.response());
    feed.plan(owned);
    const again = feed.beginLoad();
    for (const uid of uids) feed.offer(again, view, 0, read('ADDED', uid, '40'));
    feed.completeLoad(again, '61');
    const expected = uids.filter((uid) => slotOf(uid) < 32).map((uid): [string, string] => [uid, '40']);
    expect(peer.store).toEqual(new Map(expected));
    expect(resumeExporter(feed, '49', owned)).toBeUndefined();
  });
});

describe('an exporter from before this process', () => {
  test('gets the deletion of what it holds and has not been sent again yet', () => {
    const feed = newFeed('50');
    const first = feed.beginLoad();
    feed.offer(first, view, 0, read('ADDED', 'held', '40'));
    feed.completeLoad(first, '61');
    const peer = new WatchPeer();
    peer.store.set('held', '40');
    resumeExporter(feed, '50', everything)?.attach(peer.response());
    feed.plan(everything);
    const second = feed.beginLoad();
    live(feed, 'DELETED', 'held', '70');
    feed.offer(second, view, 0, read('ADDED', 'held', '40'));
    feed.completeLoad(second, '71');
    expect([...peer.store.keys()]).toEqual([]);
  });

  test('gets a deletion that the load had taken into account before the watch brought it', () => {
    const feed = newFeed('50');
    const coverage = feed.beginLoad();
    feed.offer(coverage, view, 0, read('ADDED', 'kept', '40'));
    feed.completeLoad(coverage, '61');
    const peer = new WatchPeer();
    for (const uid of ['kept', 'gone']) peer.store.set(uid, '40');
    const subscription = resumeExporter(feed, '50', everything);
    subscription?.attach(peer.response());
    feed.plan(everything);
    const again = feed.beginLoad();
    feed.offer(again, view, 0, read('ADDED', 'kept', '40'));
    feed.completeLoad(again, '63');
    peer.log.length = 0;
    subscription?.attach(peer.response());
    live(feed, 'DELETED', 'gone', '60');
    live(feed, 'DELETED', 'unknown', '64');
    feed.flush();
    expect([...peer.store.keys()]).toEqual(['kept']);
    expect(peer.log.filter((line) => !line.startsWith('BOOKMARK'))).toEqual(['DELETED gone@60']);
  });
});

describe('an exporter from before this process, while its objects are sent again', () => {
  test('loses those of a slot that is taken away before the load has reached it', () => {
    const feed = newFeed('50');
    const first = feed.beginLoad();
    feed.offer(first, view, 0, read('ADDED', 'held', '40'));
    feed.completeLoad(first, '50');
    const peer = new WatchPeer();
    peer.store.set('held', '40');
    resumeExporter(feed, '50', everything)?.attach(peer.response());
    feed.plan(everything);
    feed.beginLoad();
    feed.plan(roles(ALL.filter((slot) => slot !== slotOf('held'))));
    feed.flush();
    expect([...peer.store.keys()]).toEqual([]);
  });

  test('loses what the load had left out already when the watch that would have said so has a gap', () => {
    const feed = newFeed('50');
    const first = feed.beginLoad();
    for (const uid of ['kept', 'gone']) feed.offer(first, view, 0, read('ADDED', uid, '40'));
    feed.completeLoad(first, '50');
    const peer = new WatchPeer();
    for (const uid of ['kept', 'gone']) peer.store.set(uid, '40');
    resumeExporter(feed, '50', everything)?.attach(peer.response());
    feed.plan(everything);
    const again = feed.beginLoad();
    feed.offer(again, view, 0, read('ADDED', 'kept', '40'));
    feed.completeLoad(again, '63');
    const [subscription] = feed.subscriptions;
    if (subscription === undefined) throw new Error('no subscription');
    peer.rewatch(subscription);
    const seen = new Map([['kept', { version: '40', namespace: 'ns', name: 'kept', slot: slotOf('kept') }]]);
    compareWithList(feed, seen, '70');
    feed.completeRelist('70');
    expect([...peer.store.keys()]).toEqual(['kept']);
  });

  test('lists anew when the watch has a gap and deletions in it cannot be known', () => {
    const feed = newFeed('50');
    const first = feed.beginLoad();
    feed.offer(first, view, 0, read('ADDED', 'kept', '40'));
    // Ahead of the watch, which would have brought the deletion of `gone` at 60.
    feed.completeLoad(first, '61');
    const peer = new WatchPeer();
    const subscription = resumeExporter(feed, '50', everything);
    subscription?.attach(peer.response());
    const seen = new Map([['kept', { version: '40', namespace: 'ns', name: 'kept', slot: slotOf('kept') }]]);
    expect(feed.isShortOfPast).toBe(true);
    feed.startOver('70');
    compareWithList(feed, seen, '70');
    feed.completeRelist('70');
    expect(subscription?.closed).toBe(true);
    expect(resumeExporter(feed, '50', everything)).toBeUndefined();
    expect(resumeExporter(feed, '70', everything)).toBeDefined();
  });
});

describe('definitions that are not to be seen to change', () => {
  const QUIET = 0;
  function newDefinitions(novelty?: (entry: object, view: FrameView) => Novelty): FeedState {
    return new FeedState({
      kind: POD,
      codec: protobufCodec,
      novelty,
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
    feed.plan(undefined);
    const coverage = feed.beginLoad();
    for (const uid of uids) feed.offer(coverage, view, 0, read('ADDED', uid, '50'));
    feed.completeLoad(coverage, '100');
  }

  test('are in the first list, and then only the others change', () => {
    const feed = newDefinitions();
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
    const states = new Map<string, Novelty>([
      ['103', 'withheld'],
      ['104', 'new'],
      ['105', 'known'],
      ['106', 'new'],
    ]);
    const feed = newDefinitions((_entry, each) => states.get(each.resourceVersion()) ?? 'new');
    const peer = new WatchPeer();
    feed.subscribe().attach(peer.response());
    load(feed, 'shown-a');
    const toldAt = feed.toldAt;
    expect(toldAt).toBeDefined();
    live(feed, 'ADDED', 'shown-b', '103');
    live(feed, 'MODIFIED', 'shown-b', '104');
    live(feed, 'MODIFIED', 'shown-b', '105');
    live(feed, 'MODIFIED', 'shown-b', '106');
    feed.flush();
    const told = ['ADDED shown-a@50', 'BOOKMARK @100', 'ADDED shown-b@104', 'MODIFIED shown-b@106'];
    expect(peer.log).toEqual(told);
    // Whoever comes later gets what is known as well.
    const late = new WatchPeer();
    states.set('106', 'known');
    feed.subscribe().attach(late.response());
    feed.plan(undefined);
    const coverage = feed.beginLoad();
    feed.offer(coverage, view, 0, read('ADDED', 'shown-b', '106'));
    feed.completeLoad(coverage, '106');
    expect(late.log).toEqual(['ADDED shown-b@106', 'BOOKMARK @106']);
    expect(peer.log).toEqual(told);
  });

  test('stay unseen by an exporter that was there before this process, come and go as they may', () => {
    const feed = newDefinitions();
    load(feed, 'shown-a', 'quiet-b');
    live(feed, 'ADDED', 'quiet-c', '101');
    live(feed, 'DELETED', 'quiet-c', '102');
    live(feed, 'MODIFIED', 'quiet-b', '103');
    live(feed, 'MODIFIED', 'shown-a', '104');
    const peer = new WatchPeer();
    const subscription = resumeExporter(feed, '100', undefined);
    subscription?.attach(peer.response());
    feed.plan(undefined);
    const coverage = feed.beginLoad();
    feed.offer(coverage, view, 0, read('ADDED', 'shown-a', '104'));
    feed.offer(coverage, view, 0, read('ADDED', 'quiet-b', '103'));
    feed.completeLoad(coverage, '104');
    expect(peer.log).toEqual(['ADDED shown-a@104', 'BOOKMARK @104']);
  });
});

describe('a metadata list after a gap in the watch', () => {
  test('deletes what is gone, asks for what differs, and nothing else', () => {
    const feed = newFeed();
    const peer = new WatchPeer();
    const subscription = feed.subscribe();
    subscription.attach(peer.response());
    feed.plan(everything);
    const coverage = feed.beginLoad();
    for (const uid of ['same', 'changed', 'gone']) feed.offer(coverage, view, 0, read('ADDED', uid, '10'));
    feed.completeLoad(coverage, '100');
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
    const stale = compareWithList(feed, seen, '120');
    expect([...stale.keys()].sort()).toEqual(['changed', 'new']);
    feed.refetched(protobufObject({ uid: 'changed', name: 'x', version: '110' }), view);
    feed.refetched(protobufObject({ uid: 'new', name: 'x', version: '125' }), view);
    feed.completeRelist('120');
    // A resume in between starts from before the gap.
    expect(peer.log.filter((line) => line !== 'BOOKMARK @100')).toEqual([
      'DELETED gone@100',
      'MODIFIED changed@110',
      'ADDED new@125',
      'BOOKMARK @120',
    ]);
    // The watch goes on from 120 and brings what the fetch was ahead with.
    live(feed, 'ADDED', 'new', '121');
    live(feed, 'MODIFIED', 'new', '125');
    feed.flush();
    expect(peer.log).toHaveLength(6);
  });
});

describe('counting', () => {
  test('is exact as of any position since the newest load, whatever has come and gone', () => {
    const feed = newFeed();
    const peer = new WatchPeer();
    const subscription = feed.subscribe();
    subscription.attach(peer.response());
    feed.plan(everything);
    feed.completeLoad(feed.beginLoad(), '100');
    const all = new Set(ALL);
    const expected = new Map([['100', feed.census(all, '100')]]);
    const events: Event[] = [
      ['ADDED', 'a', 101],
      ['ADDED', 'b', 102],
      ['MODIFIED', 'a', 103],
      ['DELETED', 'a', 104],
      ['ADDED', 'c', 105],
      ['DELETED', 'b', 106],
    ];
    for (const [type, uid, version] of events) {
      live(feed, type, uid, String(version));
      expected.set(String(version), feed.census(all, String(version)));
    }
    for (const [version, census] of expected) expect([version, feed.census(all, version)]).toEqual([version, census]);
    expect([...expected.values()].map(({ count }) => count)).toEqual([0, 1, 2, 2, 1, 2, 1]);
    expect(() => feed.census(all, '99')).toThrow('older than the newest load');
  });

  test('misses an object that was withheld', () => {
    const count = (omit: boolean): number => {
      const feed = newFeed('100', () => omit);
      feed.subscribe().attach(new WatchPeer().response());
      feed.plan(everything);
      const coverage = feed.beginLoad();
      feed.offer(coverage, view, 0, read('ADDED', 'a', '5'));
      feed.completeLoad(coverage, '100');
      return feed.census(new Set(ALL), '100').count;
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
    feed.plan(everything);
    feed.completeLoad(feed.beginLoad(), '100');
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
      feed.plan(everything);
      feed.completeLoad(feed.beginLoad(), '100');
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
    feed.plan(everything);
    live(feed, 'ADDED', 'a', '101');
    expect(feed.index.sentCount).toBe(1);
    peer.leave();
    expect([feed.subscriptions.length, feed.index.sentCount]).toEqual([0, 0]);
  });

  test('that takes the place of one which ended during a load is sent all that the load went on to deliver', () => {
    const feed = newFeed();
    const uids = ['before', 'after'];
    const offer = (coverage: LoadCoverage, uid: string): void =>
      feed.offer(coverage, view, 0, read('ADDED', uid, '40'));
    const fill = feed.beginLoad();
    for (const uid of uids) offer(fill, uid);
    feed.completeLoad(fill, '100');

    const left = new WatchPeer();
    feed.subscribe().attach(left.response());
    feed.plan(everything);
    const interrupted = feed.beginLoad();
    offer(interrupted, 'before');
    left.leave();
    const peer = new WatchPeer();
    feed.subscribe().attach(peer.response());
    feed.plan(everything);
    // The load of the one that left goes on: nothing of it may count as sent to its successor, which has its bit.
    offer(interrupted, 'after');
    feed.completeLoad(interrupted, '100');
    expect(feed.subscriptions[0]?.slots.every((state) => state === SlotState.Loading)).toBe(true);

    const coverage = feed.beginLoad();
    for (const uid of uids) offer(coverage, uid);
    feed.completeLoad(coverage, '100');
    expect([...peer.store.keys()].sort()).toEqual(['after', 'before']);
  });

  test('passes bookmarks on, so that the resume point of an idle exporter stays fresh', () => {
    const feed = newFeed();
    const peer = new WatchPeer();
    feed.subscribe().attach(peer.response());
    const frame = protobufBookmark('150');
    protobufCodec.readWhole(frame, view);
    feed.live(view, 0, frame.length);
    feed.flush();
    expect([peer.resumeVersion, feed.position]).toEqual(['150', '150']);
  });
});
