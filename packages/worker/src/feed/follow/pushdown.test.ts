import { elapse, until } from '@shard-controller/shared/testing';
import { describe, expect, test } from 'vitest';
import { SlotRole } from '../../slots/slot-plan.ts';
import { CollectionReader } from '../../upstream/collection-reader.ts';
import { ScriptedApiServer, status } from '../../upstream/testing/scripted-api-server.ts';
import { resumeExporter } from '../books/difference.ts';
import { SlotState } from '../books/subscription.ts';
import { WatchPeer } from '../books/testing/watch-peer.ts';
import { fetchEach } from './relist.ts';
import { inSlots, owned, PushdownRig, range, slotOfUid } from './testing/pushdown-rig.ts';

describe('a feed of many objects', () => {
  test('asks for the slots that it needs, and knows no others', async () => {
    const rig = await new PushdownRig(300, true).start();
    await rig.complete(0, 16);
    expect(new Set(rig.selectors())).toEqual(new Set([range(0, 16)]));
    expect(rig.feed.state?.index.size).toBe(inSlots(rig.api.objects.keys(), 0, 16).length);
    expect(rig.pushdowns).toEqual([true]);
  });

  test('asks for everything where the server does not narrow, or must not', async () => {
    for (const rig of [new PushdownRig(300, false), new PushdownRig(300, true, 'off')]) {
      await rig.start();
      await rig.complete(0, 16);
      expect(new Set(rig.selectors())).toEqual(new Set(['everything']));
      expect(rig.feed.state?.index.size).toBe(300);
    }
  });

  test('reads a moved-in range alone, and misses nothing that happens meanwhile', async () => {
    const rig = await new PushdownRig(300, true).start();
    rig.api.requests.length = 0;
    rig.roles = owned(0, 24);
    rig.feed.plan();
    for (let i = 300; i < 360; i++) {
      rig.api.change('ADDED', `uid-${i}`);
      rig.api.change('DELETED', `uid-${i - 300}`);
      if (i % 10 === 0) await elapse(1);
    }
    await rig.settled();
    await rig.complete(0, 24);
    expect(rig.selectors().sort()).toEqual([range(0, 24), range(16, 24)].sort());
    expect(rig.peer.regressions).toEqual([]);
  });

  test('continues with its watch until the wider one is open, and hears nothing twice', async () => {
    const rig = await new PushdownRig(300, true).start();
    const opening = Promise.withResolvers<void>();
    rig.api.opening = opening.promise;
    rig.roles = owned(0, 24);
    rig.feed.plan();
    await until(() => rig.selectors().at(-1) === range(0, 24));
    const [fleeting = '', lasting = ''] = inSlots(
      Array.from({ length: 64 }, (_, i) => `uid-while-opening-${i}`),
      0,
      16,
    );
    rig.api.change('ADDED', fleeting);
    rig.api.change('ADDED', lasting);
    rig.api.change('DELETED', fleeting);
    await until(() => rig.peer.store.has(lasting) && !rig.peer.store.has(fleeting));
    // Loads wait: what happens to objects of the new slots after the list has to come by the watch.
    expect(rig.feed.state?.subscriptions[0]?.slots[20]).toBe(SlotState.Loading);
    rig.api.change('DELETED', inSlots(rig.api.objects.keys(), 16, 24)[0] ?? '');
    opening.resolve();
    await rig.settled();
    await rig.complete(0, 24);
    expect(rig.peer.log.filter((line) => line.includes(fleeting)).map((line) => line.split(' ')[0])).toEqual([
      'ADDED',
      'DELETED',
    ]);
    expect(rig.peer.regressions).toEqual([]);
  });

  test('opens the watch for the newest slots when they change again while one is being opened', async () => {
    const rig = await new PushdownRig(300, true).start();
    const opening = Promise.withResolvers<void>();
    rig.api.opening = opening.promise;
    for (const to of [24, 32, 40]) {
      rig.roles = owned(0, to);
      rig.feed.plan();
      await until(() => rig.selectors().length > 1);
    }
    opening.resolve();
    await rig.settled();
    await rig.complete(0, 40);
    expect(rig.selectors().at(-1)).not.toBe(range(0, 24));
  });

  test('falls back to opening its watch again when the wider one is refused', async () => {
    const rig = await new PushdownRig(300, true).start();
    rig.api.failNextWatch(500);
    await rig.assign(owned(0, 24));
    await rig.complete(0, 24);
    expect(rig.selectors().filter((selector) => selector === range(0, 24))).toHaveLength(2);
  });

  test('leaves out what it does not need any more once things have settled, and forgets it', async () => {
    const rig = await new PushdownRig(300, true).start();
    await rig.assign(owned(0, 24));
    await rig.assign(owned(8, 24));
    rig.feed.tidy();
    expect(rig.selectors().at(-1)).not.toBe(range(8, 24));
    await rig.tidy();
    expect(rig.selectors().at(-1)).toBe(range(8, 24));
    expect(rig.feed.state?.index.size).toBe(inSlots(rig.api.objects.keys(), 8, 24).length);
    rig.api.change('ADDED', 'uid-new-1');
    rig.api.change('ADDED', 'uid-new-2');
    await rig.complete(8, 24);
  });

  test('is right behind a server that stops to narrow, as in a rollback of it, and behind mixed ones', async () => {
    const rig = await new PushdownRig(300, true).start();
    for (const narrows of [false, true, false]) {
      rig.api.narrows = narrows;
      rig.api.cut();
      await rig.settled();
      rig.api.change('ADDED', `uid-of-${String(narrows)}-${rig.api.version}`);
      for (const uid of inSlots(rig.api.objects.keys(), 0, 64).slice(0, 5)) rig.api.change('DELETED', uid);
      await rig.complete(0, 16);
      await rig.assign(owned(0, 20));
      await rig.complete(0, 20);
      await rig.assign(owned(0, 16));
      await rig.complete(0, 16);
    }
    expect(rig.feed.state?.index.size).toBeLessThan(200);
  });

  test('begins to ask for its slots when a server learns to narrow', async () => {
    const rig = await new PushdownRig(300, false).start();
    rig.api.change('ADDED', 'one-more');
    await rig.complete(0, 16);
    rig.api.narrows = true;
    rig.api.cut();
    await until(() => rig.pushdowns.at(-1) === true);
    await rig.settled();
    await rig.tidy();
    expect(rig.selectors().at(-1)).toBe(range(0, 16));
    await rig.complete(0, 16);
  });
});

describe('a feed of few objects', () => {
  test('is read whole, and moves slots by single reads, or none', async () => {
    const rig = await new PushdownRig(90, true).start();
    expect(new Set(rig.selectors())).toEqual(new Set(['everything']));
    const [moved] = inSlots(rig.api.objects.keys(), 16, 64);
    if (moved === undefined) throw new Error('no object to move');
    const slot = slotOfUid(moved);
    const expected = inSlots(rig.api.objects.keys(), slot, slot + 1);
    rig.api.requests.length = 0;
    const roles = owned(0, 16);
    roles[slot] = SlotRole.Owned;
    await rig.assign(roles);
    expect(rig.api.requests.sort()).toEqual(expected.map((uid) => `/api/v1/namespaces/ns/pods/${uid}`).sort());
    for (const uid of expected) expect(rig.peer.store.has(uid)).toBe(true);
  });

  test('lists what a selector picks: a single read knows no selector', async () => {
    const rig = await new PushdownRig(90, false, 'auto', 'spec.nodeName=node').start();
    const [moved] = inSlots(rig.api.objects.keys(), 16, 64);
    if (moved === undefined) throw new Error('no object to move');
    rig.api.requests.length = 0;
    await rig.assign(owned(slotOfUid(moved), slotOfUid(moved) + 1));
    expect(rig.api.requests.filter((path) => path.startsWith('/'))).toEqual([]);
    expect(rig.peer.store.has(moved)).toBe(true);
  });

  test('lists for an exporter that comes back: of an object that a single read misses, it would never hear', async () => {
    const rig = await new PushdownRig(90, true).start();
    const { state } = rig.feed;
    const [gone] = inSlots(rig.api.objects.keys(), 16, 64);
    if (state === undefined || gone === undefined) throw new Error('no object to delete');
    const slot = slotOfUid(gone);
    await rig.assign(owned(slot, slot + 1));
    rig.peer.leave();
    // Gone from the server, and its watch has not said so yet.
    const behind = rig.api.hold();
    rig.api.change('DELETED', gone);
    const subscription = resumeExporter(state, state.position, rig.roles);
    if (subscription === undefined) throw new Error('not resumed');
    const back = new WatchPeer();
    for (const [uid, version] of rig.peer.store) back.store.set(uid, version);
    subscription.attach(back.response());
    rig.feed.adopt(subscription);
    await until(() => back.ended);
    back.rewatch(subscription);
    behind.release();
    const expected = inSlots(rig.api.objects.keys(), slot, slot + 1);
    await until(() => !back.store.has(gone));
    expect([...back.store.keys()].sort()).toEqual(expected);
  });
});

test('single reads that are stopped while the exporter takes nothing are no complete load', async () => {
  const api = new ScriptedApiServer();
  for (const uid of ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i']) api.change('ADDED', uid);
  const key = { path: '/api/v1/pods', group: '', version: 'v1', resource: 'pods', namespace: '' };
  const reader = new CollectionReader(
    api,
    { ...key, fieldSelector: '', labelSelector: '', accept: 'application/vnd.kubernetes.protobuf' },
    () => 0.5,
  );
  const stop = new AbortController();
  const room = Promise.withResolvers<void>();
  let taken = 0;
  const objects = Array.from(api.objects.keys(), (uid) => ({ uid, namespace: 'ns', name: uid }));
  const reading = fetchEach(reader, objects, stop.signal, () => {
    taken++;
    return room.promise;
  });
  await until(() => taken === 8);
  stop.abort();
  room.resolve();
  await expect(reading).rejects.toThrow('abort');
});

test('lists where its role may not read single objects', async () => {
  const rig = await new PushdownRig(90, true).start();
  const [moved] = inSlots(rig.api.objects.keys(), 16, 64);
  if (moved === undefined) throw new Error('no object to move');
  for (let i = 0; i < 8; i++) {
    rig.api.next(({ path }) => (path.includes('/namespaces/') ? status(403, 'Forbidden') : undefined));
  }
  const roles = owned(0, 16);
  roles[slotOfUid(moved)] = SlotRole.Owned;
  await rig.assign(roles);
  expect(rig.peer.store.has(moved)).toBe(true);
  expect(rig.feed.reader.readsSingles).toBe(false);
});

test('a wider watch that is given up is no end of the process, although its answer was through: expired', async () => {
  const rig = await new PushdownRig(300, true).start();
  const { api, feed } = rig;
  api.refusesExpired = 'in the stream';
  api.version += 10;
  api.forget();
  const { promise: opening, resolve: open } = Promise.withResolvers<void>();
  api.opening = opening;
  const before = rig.selectors().length;
  rig.roles = owned(0, 24);
  feed.plan();
  await until(() => rig.selectors().length > before);
  // Once more while it is being opened: its answer, complete by then, is of no use.
  rig.roles = owned(0, 32);
  feed.plan();
  open();
  api.opening = Promise.resolve();
  await rig.settled();
  await rig.complete(0, 32);
  expect(feed.problem).toBeUndefined();
});
