import { describe, expect, it } from 'vitest';
import { heapAfterCollection } from '../../testing/heap.ts';
import { protobufCodec } from '../../wire/frame-codec.ts';
import { FrameView } from '../../wire/frame-view.ts';
import { POD, protobufFrame, protobufObject } from '../../wire/testing/wire.ts';
import { QUEUE_LIMIT, SHED_LIMIT, Subscription } from './subscription.ts';
import { WatchPeer } from './testing/watch-peer.ts';

const MIB = 1024 * 1024;

interface Rig {
  readonly subscription: Subscription;
  readonly peer: WatchPeer;
  /** Whether each end was because too much waited. */
  readonly ends: boolean[];
}

function newRig(): Rig {
  const ends: boolean[] = [];
  const subscription = new Subscription({
    id: 1,
    mark: 0,
    slotCount: 4,
    codec: protobufCodec,
    kind: POD,
    now: () => 0,
    onClosed: (_, shed) => ends.push(shed),
  });
  const peer = new WatchPeer();
  subscription.attach(peer.response());
  return { subscription, peer, ends };
}

/** One event of an object, as it comes over the wire. */
function event(subscription: Subscription, uid: string, version: number, ballast = 0): void {
  const frame = protobufFrame('MODIFIED', protobufObject({ uid, name: uid, version: String(version), ballast }));
  const view = new FrameView();
  protobufCodec.readWhole(frame, view);
  subscription.upsert(uid, view, 0, frame.length, false);
}

function deleteObjects(subscription: Subscription, count: number): void {
  for (let i = 0; i < count; i++) {
    subscription.delete({ uid: `uid-${i}`, namespace: 'ns', name: `pod-${i}` }, String(1_000 + i));
  }
}

describe('the queue of a subscription', () => {
  it('writes what was pushed in its order: events, deletions, bookmarks', () => {
    const { subscription, peer } = newRig();
    peer.takes = false;
    event(subscription, 'a', 1);
    subscription.flush();
    event(subscription, 'b', 2);
    subscription.delete({ uid: 'a', namespace: '', name: 'a' }, '3');
    subscription.delete({ uid: 'c', namespace: '', name: 'c' }, '3');
    subscription.bookmark('4');
    subscription.delete({ uid: 'b', namespace: '', name: 'b' }, '4');
    event(subscription, 'a', 5);
    subscription.flush();
    expect([peer.log, subscription.queuedFrames]).toEqual([['MODIFIED a@1'], 6]);
    peer.drain();
    expect(peer.log.slice(1)).toEqual([
      'MODIFIED b@2',
      'DELETED a@3',
      'DELETED c@3',
      'BOOKMARK @4',
      'DELETED b@4',
      'MODIFIED a@5',
    ]);
    expect([subscription.queuedFrames, subscription.queuedBytes]).toEqual([0, 0]);
  });

  it('is acknowledged only after the deletions before the acknowledgement', async () => {
    const { subscription, peer } = newRig();
    peer.takes = false;
    event(subscription, 'a', 1);
    subscription.flush();
    deleteObjects(subscription, 1_000);
    const acknowledged = subscription.acknowledge('2000');
    for (let written = 0; !peer.ended && written < 100; written++) {
      expect(subscription.awaitedVersion).toBeUndefined();
      peer.drain();
    }
    expect(peer.log.filter((line) => line.startsWith('DELETED')).length).toBe(1_000);
    peer.rewatch(subscription);
    await expect(acknowledged).resolves.toBe(true);
  });

  it('of 100,000 deletions takes at most 24 MiB while the exporter has stopped, and loses none', async () => {
    const { subscription, peer } = newRig();
    peer.takes = false;
    event(subscription, 'a', 1);
    subscription.flush();
    const before = heapAfterCollection();
    deleteObjects(subscription, 100_000);
    subscription.flush();
    expect(heapAfterCollection() - before).toBeLessThan(24 * MIB);
    expect(subscription.full).toBe(true);
    const room = subscription.room();
    peer.drain();
    await room;
    expect([subscription.queuedFrames, subscription.queuedBytes]).toEqual([0, 0]);
    expect(peer.log.length).toBe(100_001);
  });

  it('writes deletions in pieces, so that a slow exporter gets no more than it takes', () => {
    const { subscription, peer } = newRig();
    const response = peer.response();
    const written: number[] = [];
    subscription.attach({
      ...response,
      write: (bytes) => {
        written.push(bytes.length);
        return false;
      },
    });
    deleteObjects(subscription, 10_000);
    subscription.flush();
    expect(written.length).toBe(1);
    expect(written[0]).toBeLessThan(64 * 1024);
    expect(subscription.queuedFrames).toBeGreaterThan(9_000);
  });

  it('is full beyond its limit, and has room again below half of it', async () => {
    const { subscription, peer } = newRig();
    peer.takes = false;
    event(subscription, 'first', 1);
    subscription.flush();
    for (let i = 0; !subscription.full; i++) {
      event(subscription, `u${i}`, i, 1_000);
      subscription.flush();
    }
    expect(subscription.queuedBytes).toBeLessThan(QUEUE_LIMIT + 2_000);
    let hasRoom = false;
    const room = subscription.room().then(() => {
      hasRoom = true;
    });
    await Promise.resolve();
    expect(hasRoom).toBe(false);
    peer.drain();
    await room;
    expect(subscription.full).toBe(false);
  });

  it('ends its one watch when more waits than can be held, and says so', () => {
    const { subscription, peer, ends } = newRig();
    peer.takes = false;
    event(subscription, 'first', 1);
    subscription.flush();
    for (let i = 0; !subscription.closed; i++) {
      expect(subscription.queuedBytes).toBeLessThanOrEqual(SHED_LIMIT);
      event(subscription, `u${i}`, i, MIB);
      subscription.flush();
    }
    expect(ends).toEqual([true]);
    expect(peer.destroyed).toBe(true);
    expect([subscription.queuedFrames, subscription.queuedBytes, subscription.full]).toEqual([0, 0, false]);
  });

  it('passes an object of 1 MiB on, and does not count that as too much', () => {
    const { subscription, peer, ends } = newRig();
    event(subscription, 'big', 7, MIB);
    subscription.flush();
    expect([peer.log, ends]).toEqual([['MODIFIED big@7'], []]);
  });

  it('does not end for deletions alone, which would begin again whenever the exporter comes back', () => {
    const { subscription, peer, ends } = newRig();
    peer.takes = false;
    deleteObjects(subscription, 600_000);
    subscription.flush();
    expect([ends, subscription.closed]).toEqual([[], false]);
  });
});
