import { PassThrough } from 'node:stream';
import { elapse, until } from '@shard-controller/shared/testing';
import { afterEach, describe, expect, test } from 'vitest';
import { ScriptedApiServer, status } from '../../upstream/testing/scripted-api-server.ts';
import { protobufFrame, protobufList, protobufObject } from '../../wire/testing/wire.ts';
import { SlotState } from '../books/subscription.ts';
import { WatchPeer } from '../books/testing/watch-peer.ts';
import {
  gone,
  lists,
  newFeed,
  newRig,
  plainWatches,
  protobuf,
  type Rig,
  rigOf,
  stopFeeds,
  subscribe,
} from './testing/feed-rig.ts';

afterEach(stopFeeds);

describe('a feed whose watch ends', () => {
  for (const [how, error] of [
    ['in order', undefined],
    ['with a reset connection', new Error('ECONNRESET')],
  ] as const) {
    test(`${how} continues from the newest event without listing`, async () => {
      const { api, peer } = await newRig('a');
      api.change('ADDED', 'b');
      await until(() => peer.store.has('b'));
      api.cut(error);
      await until(() => plainWatches(api).length > 0 && api.watches > 0);
      api.change('DELETED', 'a');
      await until(() => !peer.store.has('a'));
      expect(plainWatches(api)[0]).toContain('resourceVersion=102');
      expect(lists(api)).toEqual([]);
      expect(peer.log).toEqual(['ADDED b@102', 'DELETED a@103']);
    });
  }

  test('loses no event that happened while it was away', async () => {
    const { api, peer } = await newRig('a');
    api.failNextWatch(503, 'ServiceUnavailable');
    api.cut();
    api.change('MODIFIED', 'a');
    api.change('ADDED', 'b');
    await until(() => peer.store.has('b'));
    expect(peer.log).toEqual(['MODIFIED a@102', 'ADDED b@103']);
  });

  for (const [code, shownAs] of [
    [401, 'unauthorized'],
    [403, 'forbidden'],
    [429, 'throttled'],
    [500, 'server-error'],
    [503, 'server-error'],
    [504, 'timeout'],
  ] as const) {
    test(`tries again after ${code}, for that is never final`, async () => {
      const { api, peer, counted } = await newRig('a');
      api.failNextWatch(code);
      api.failNextWatch(code);
      api.cut();
      await until(() => api.watches > 0);
      api.change('ADDED', 'b');
      await until(() => peer.store.has('b'));
      expect(counted.filter((cause) => cause === `reconnect ${shownAs}`)).toHaveLength(2);
      expect(lists(api)).toEqual([]);
    });
  }

  test('waits as long as the server asks, at most 10 s, and at most 2 s otherwise', async () => {
    const { api, slept } = await newRig('a');
    slept.length = 0;
    api.failNextWatch(429, 'TooManyRequests', { 'retry-after': '3' });
    api.failNextWatch(429, 'TooManyRequests', { 'retry-after': '60' });
    for (let i = 0; i < 12; i++) api.failNextWatch(500);
    api.cut();
    await until(() => api.watches > 0);
    expect(slept.some((ms) => ms >= 3_000 && ms < 5_000)).toBe(true);
    expect(Math.max(...slept)).toBe(10_000);
    expect(Math.max(...slept.filter((ms) => ms < 3_000))).toBe(1_000);
  });

  test('waits until the date that the server names', async () => {
    const { api, slept } = await newRig('a');
    slept.length = 0;
    api.failNextWatch(429, 'TooManyRequests', { 'retry-after': new Date(Date.now() + 5_000).toUTCString() });
    api.cut();
    await until(() => api.watches > 0);
    expect(slept.some((ms) => ms >= 3_500 && ms < 6_000)).toBe(true);
  });

  test('does not keep back what came in one piece with the failure', async () => {
    const { api, peer, slept } = await newRig('a', 'b');
    slept.length = 0;
    const deleted = protobufFrame('DELETED', protobufObject({ uid: 'a', name: 'a', namespace: 'ns', version: '110' }));
    // Nothing else will ever be said: the next watch stays silent.
    api.objects.delete('a');
    api.version = 110;
    api.say(
      Buffer.concat([deleted, protobufFrame('RENAMED', protobufObject({ uid: 'b', name: 'b', version: '111' }))]),
    );
    await until(() => !peer.store.has('a'));
    expect(peer.log).toEqual(['DELETED a@110']);
  });

  test('gives a watch that comes back an event at once, so that a kill right then is no failed watch', async () => {
    const { feed, peer } = await newRig('a');
    const { state } = feed;
    const acknowledged = state?.subscriptions[0]?.acknowledge(state.position);
    await acknowledged;
    expect(peer.log.filter((line) => line === 'BOOKMARK @101')).toHaveLength(2);
  });

  test('drops an event of an unknown type and opens the watch again', async () => {
    const { api, peer, counted } = await newRig('a');
    api.say(protobufFrame('RENAMED', protobufObject({ uid: 'a', name: 'a', version: '101' })));
    await until(() => counted.includes('reconnect malformed') && api.watches > 0);
    expect(peer.log).toEqual([]);
  });
});

describe('a feed whose resourceVersion is gone', () => {
  for (const where of ['in the answer', 'as an event in the stream'] as const) {
    test(`(410 ${where}) compares metadata, fetches only what differs, and sends the difference`, async () => {
      const { api, peer, counted } = await newRig('same', 'changed', 'deleted');
      // The changes happen unseen: the watch is cut first, or told that it is too old.
      if (where === 'in the answer') api.cut();
      else api.say(protobufFrame('ERROR', gone));
      api.objects.delete('deleted');
      api.version = 200;
      api.objects.set('changed', 190).set('new', 195);
      api.forget();
      await until(() => peer.store.has('new') && api.watches > 0);
      expect(counted).toContain('relist expired');
      // Between, the exporter's resume point stays where the watch was.
      expect(peer.log.filter((line) => line !== 'BOOKMARK @103').toSorted()).toEqual(
        ['DELETED deleted@103', 'MODIFIED changed@190', 'ADDED new@195', 'BOOKMARK @200'].toSorted(),
      );
      expect(peer.log[0]).toBe('DELETED deleted@103');
      expect(peer.log.at(-1)).toBe('BOOKMARK @200');
      expect(api.requests.filter((path) => path.startsWith('/api/v1/namespaces'))).toHaveLength(2);
      expect(lists(api)).toHaveLength(1);
      expect(plainWatches(api).at(-1)).toContain('resourceVersion=200');
    });
  }

  test('sends the deletion of an object that was made again under its name before the new one', async () => {
    const { api, peer } = await newRig('web#1', 'db#1', 'other');
    api.cut();
    for (const uid of ['web#1', 'db#1']) api.objects.delete(uid);
    api.version = 200;
    api.objects.set('web#2', 190).set('db#2', 191);
    api.forget();
    await until(() => peer.store.has('web#2') && peer.store.has('db#2') && api.watches > 0);
    const at = (entry: string): number => peer.log.findIndex((line) => line.startsWith(entry));
    for (const name of ['web', 'db']) {
      expect(at(`DELETED ${name}#1`)).toBeGreaterThanOrEqual(0);
      expect(at(`DELETED ${name}#1`)).toBeLessThan(at(`ADDED ${name}#2`));
    }
    expect(peer.log.at(-1)).toBe('BOOKMARK @200');
    expect([...peer.store.keys()].sort()).toEqual(['db#2', 'other', 'web#2']);
  });

  test('does not ask without a pause a server that refuses what it has just listed', async () => {
    const { api, slept } = await newRig('a');
    slept.length = 0;
    for (let i = 0; i < 8; i++) api.failNextWatch(410, 'Expired');
    api.cut();
    await until(() => lists(api).length >= 8 && api.watches > 0);
    const pauses = slept.filter((ms) => ms > 0);
    expect(pauses.length).toBeGreaterThanOrEqual(8);
    expect(Math.max(...pauses)).toBe(1_000);
  });

  test('takes everything in one answer when the pages come too late for their tokens', async () => {
    const { api, peer, counted } = await newRig('a', 'b');
    const page = protobufList('200', [protobufObject({ uid: 'a', name: 'a', namespace: 'ns', version: '101' })], 1);
    api.next((_, query) => (query.get('limit') === '50' ? protobuf(page) : undefined));
    api.next((_, query) => (query.has('continue') ? status(410, 'Expired') : undefined));
    api.cut();
    api.objects.delete('a');
    api.version = 200;
    api.forget();
    await until(() => peer.log.includes('BOOKMARK @200'));
    expect(counted).toContain('load gone');
    expect([...peer.store.keys()]).toEqual(['b']);
    expect(lists(api)).toHaveLength(2);
    expect(api.requests.filter((query) => query === '')).toHaveLength(1);
  });

  test('is not taken for one that hears the server while it cannot list it either', async () => {
    const { api, feed, peer } = await newRig('a');
    for (let i = 0; i < 200; i++) api.next((_, query) => (query.has('watch') ? undefined : status(500, 'Broken')));
    api.say(protobufFrame('ERROR', gone));
    await until(() => feed.problem?.includes('Broken') === true);
    expect(feed.connected).toBe(false);
    expect(peer.store.size).toBe(1);
  });

  test('starts a load over that was under way, so that nothing deleted comes back', async () => {
    const api = new ScriptedApiServer();
    api.change('ADDED', 'a');
    const { feed } = newFeed(api);
    await until(() => feed.state?.filled === true);
    // The exporter's load hangs; meanwhile the watch expires and `a` is deleted unseen.
    const hanging = new PassThrough();
    api.next((_, query) =>
      query.get('sendInitialEvents') === 'true'
        ? {
            status: 200,
            headers: { 'content-type': 'application/vnd.kubernetes.protobuf;stream=watch' },
            body: hanging,
          }
        : undefined,
    );
    const peer = new WatchPeer();
    const subscription = subscribe(feed, peer);
    await until(() => hanging.listenerCount('data') + hanging.listenerCount('readable') > 0);
    api.objects.clear();
    api.version = 150;
    api.forget();
    api.cut();
    await until(() => hanging.destroyed);
    await until(() => subscription.slots.every((slot) => slot === SlotState.Shown));
    expect(peer.store.size).toBe(0);
  });
});

describe('a watch that one API server of several holds, and that has frozen', () => {
  async function frozenRig(): Promise<Rig> {
    const api = new ScriptedApiServer();
    for (const uid of ['a', 'b', 'c']) api.change('ADDED', uid);
    const rig = await rigOf(newFeed(api, undefined, undefined, 'app=web'));
    api.freeze();
    return rig;
  }

  async function compare(rig: Rig): Promise<void> {
    const { api, feed } = rig;
    const peeks = (): number => api.requests.filter((query) => query.includes('timeoutSeconds=1')).length;
    const before = peeks();
    feed.compare();
    await until(() => peeks() > before);
    await elapse(50);
    rig.pass(4_000);
    feed.tidy();
  }

  test.each<['ADDED' | 'MODIFIED' | 'DELETED', string]>([
    ['MODIFIED', 'a'],
    ['DELETED', 'a'],
    ['ADDED', 'd'],
  ])('is opened again for what another one brings: %s %s', async (type, uid) => {
    const rig = await frozenRig();
    const { api, feed, peer } = rig;
    api.change(type, uid);
    await compare(rig);
    expect(feed.problem).toContain('does not bring what another one does');
    await until(() => (type === 'DELETED' ? !peer.store.has(uid) : peer.store.get(uid) === String(api.version)));
  });

  test('is left alone where nothing of what it selects has changed', async () => {
    const rig = await frozenRig();
    const { api, feed } = rig;
    api.changeOutside('other');
    feed.compare();
    await until(() => api.requests.some((query) => query.includes('timeoutSeconds=1')));
    await elapse(50);
    rig.pass(4_000);
    feed.tidy();
    expect(feed.problem).toBeUndefined();
    expect(plainWatches(api).filter((query) => !query.includes('timeoutSeconds=1'))).toEqual([]);
  });
});

test('a comparison counts from its question: one that gets no answer keeps no other feed from its turn', async () => {
  const { api, feed } = await newRig('a');
  const before = feed.comparedAt;
  api.next((_, query) => (query.get('limit') === '1' ? status(500, 'Broken') : undefined));
  feed.checkForRestore();
  expect(feed.comparedAt).toBeGreaterThan(before);
});

test('a question that is refused is a trouble of the kind, although its watch continues, until it is answered', async () => {
  const { api, feed } = await newRig('a');
  const refuse = (code: number): void =>
    api.next((_, query) => (query.get('limit') === '1' ? status(code, 'Refused') : undefined));
  refuse(500);
  refuse(403);
  feed.checkForRestore();
  await until(() => feed.trouble.at(Infinity).length > 0);
  expect(feed.trouble.at(0)).toMatchObject([{ nature: 'refused' }]);
  expect([feed.connected, feed.trouble.problem]).toEqual([true, undefined]);
  await until(() => feed.trouble.at(0).length === 0);
});

test('a proof that is refused asks again until it is answered: what a move depends on is known before it', async () => {
  const { api, feed } = await newRig('a');
  for (let i = 0; i < 3; i++) api.next((_, query) => (query.get('limit') === '1' ? status(403, 'Refused') : undefined));
  await expect(feed.verification.prove(AbortSignal.timeout(60_000))).rejects.toThrow('403');
  await until(() => feed.trouble.has('question'));
  await until(() => !feed.trouble.has('question'));
});
