import { PassThrough, Readable } from 'node:stream';
import type { StreamResponse } from '@shard-controller/shared/kubernetes';
import { createLogger } from '@shard-controller/shared/observability';
import { type Clock, systemClock } from '@shard-controller/shared/runtime';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { SlotRole } from '../migration-handler/index.ts';
import { Feed } from './feed.ts';
import { resumeExporter } from './feed-difference.ts';
import { KindCatalog } from './kind-catalog.ts';
import { Semaphore } from './semaphore.ts';
import { slotHashOf } from './slot-hash.ts';
import { SlotState, type Subscription } from './subscription.ts';
import { ScriptedApiServer, status } from './testing/scripted-api-server.ts';
import { WatchPeer } from './testing/watch-peer.ts';
import { protobufBookmark, protobufFrame, protobufList, protobufObject } from './testing/wire.ts';

const SLOTS = 64;
const everything = new Uint8Array(SLOTS).fill(SlotRole.Owned);

/** A Status: 410 Expired. */
const gone = Buffer.concat([Buffer.from([0x22, 0x07]), Buffer.from('Expired'), Buffer.from([0x30, 0x9a, 0x03])]);

const stops: AbortController[] = [];
afterEach(() => {
  for (const stop of stops.splice(0)) stop.abort();
});

interface Rig {
  readonly api: ScriptedApiServer;
  readonly feed: Feed;
  readonly peer: WatchPeer;
  readonly slept: number[];
  readonly counted: string[];
}

function newFeed(api: ScriptedApiServer, resumeFrom?: string): Omit<Rig, 'peer'> {
  const slept: number[] = [];
  const counted: string[] = [];
  const clock: Clock = {
    ...systemClock,
    sleep: (ms, signal) => {
      slept.push(ms);
      return systemClock.sleep(Math.min(ms, 2), signal);
    },
  };
  const key = {
    path: '/api/v1/pods',
    group: '',
    version: 'v1',
    resource: 'pods',
    namespace: '',
    fieldSelector: '',
    labelSelector: '',
    accept: 'application/vnd.kubernetes.protobuf,application/json',
  };
  const feed = new Feed(
    key,
    { slotCount: SLOTS, slotHash: slotHashOf('uid', SLOTS) },
    {
      upstream: api,
      kinds: new KindCatalog(api),
      logger: createLogger({ name: 'test', level: 'fatal' }),
      clock,
      random: () => 0.5,
      metrics: {
        frames: () => {},
        cut: () => {},
        relist: (_resource, cause) => counted.push(`relist ${cause}`),
        loadFailure: (_resource, cause) => counted.push(`load ${cause}`),
        reconnect: (_resource, cause) => counted.push(`reconnect ${cause}`),
        pushdown: () => {},
      },
      relists: new Semaphore(4),
      roles: () => everything,
      pushdown: 'auto',
      withholds: undefined,
      diet: () => undefined,
      onChange: () => {},
    },
    resumeFrom,
  );
  const stop = new AbortController();
  stops.push(stop);
  void feed.run(stop.signal).catch(() => {});
  return { api, feed, slept, counted };
}

/** A feed whose exporter has rendered everything. */
async function newRig(...uids: readonly string[]): Promise<Rig> {
  const api = new ScriptedApiServer();
  for (const uid of uids) api.change('ADDED', uid);
  const parts = newFeed(api);
  await until(() => parts.feed.state !== undefined);
  const peer = new WatchPeer();
  const subscription = subscribe(parts.feed, peer);
  await until(() => subscription.slots.every((slot) => slot === SlotState.Shown));
  expect([...peer.store.keys()].sort()).toEqual([...uids].sort());
  peer.log.length = 0;
  api.requests.length = 0;
  return { ...parts, peer };
}

/** Opens a watch that comes back whenever it is ended, as client-go does. */
function subscribe(feed: Feed, peer: WatchPeer): Subscription {
  if (feed.state === undefined) throw new Error('the feed is not open');
  const subscription = feed.state.subscribe();
  subscription.attach(peer.response());
  feed.adopt(subscription);
  const timer = setInterval(() => {
    if (subscription.closed) clearInterval(timer);
    else if (peer.ended) peer.rewatch(subscription);
  }, 1);
  return subscription;
}

async function until(holds: () => boolean): Promise<void> {
  const deadline = Date.now() + 3_000;
  while (!holds()) {
    if (Date.now() > deadline) throw new Error(`never became true: ${holds.toString()}`);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

const protobuf = (body: Buffer): StreamResponse => ({
  status: 200,
  headers: { 'content-type': 'application/vnd.kubernetes.protobuf' },
  body: Readable.from([body]),
});

const plainWatches = (api: ScriptedApiServer): string[] =>
  api.requests.filter((query) => query.startsWith('watch=true') && !query.includes('sendInitialEvents'));

const lists = (api: ScriptedApiServer): string[] => api.requests.filter((query) => query.includes('limit=500'));

describe('a feed whose watch ends', () => {
  for (const [how, error] of [
    ['in order', undefined],
    ['with a reset connection', new Error('ECONNRESET')],
  ] as const) {
    test(`${how} goes on from the newest event without listing`, async () => {
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

  for (const code of [401, 403, 429, 500, 503, 504]) {
    test(`tries again after ${code}, for that is never final`, async () => {
      const { api, peer, counted } = await newRig('a');
      api.failNextWatch(code);
      api.failNextWatch(code);
      api.cut();
      await until(() => api.watches > 0);
      api.change('ADDED', 'b');
      await until(() => peer.store.has('b'));
      expect(counted.filter((cause) => cause === `reconnect ${code}`)).toHaveLength(2);
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
    await until(() => counted.includes('reconnect UnknownEvent') && api.watches > 0);
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
    api.next((_, query) => (query.get('limit') === '500' ? protobuf(page) : undefined));
    api.next((_, query) => (query.has('continue') ? status(410, 'Expired') : undefined));
    api.cut();
    api.objects.delete('a');
    api.version = 200;
    api.forget();
    await until(() => peer.log.includes('BOOKMARK @200'));
    expect(counted).toContain('load 410');
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

describe('a feed that opens', () => {
  test('says so when the server has no such kind, and opens when it has', async () => {
    const api = new ScriptedApiServer();
    api.next(() => status(404, 'NotFound'));
    const { feed } = newFeed(api);
    expect(await feed.opened(AbortSignal.timeout(3_000))).toBe(false);
    expect(feed.refusal?.status).toBe(404);
    await until(() => feed.state !== undefined);
    expect(feed.refusal).toBeUndefined();
  });

  test('waits for a missing right, and names it', async () => {
    const api = new ScriptedApiServer();
    for (let i = 0; i < 3; i++)
      api.next((request) => (request.path === '/api/v1/pods' ? status(403, 'Forbidden') : undefined));
    const { feed } = newFeed(api);
    await until(() => feed.refusal !== undefined);
    expect(feed.refusal?.message).toContain("grant the worker's ServiceAccount get, list and watch on /api/v1/pods");
    expect(await feed.opened(AbortSignal.timeout(3_000))).toBe(true);
  });

  test('after a restart follows from where its exporter stands, and knows what was deleted since', async () => {
    const api = new ScriptedApiServer();
    for (const uid of ['a', 'b']) api.change('ADDED', uid);
    api.change('DELETED', 'a');
    const { feed } = newFeed(api, '102');
    await until(() => feed.state?.filled === true && feed.state.position === '103');
    expect(feed.state?.ring.since('102')?.map(({ uid, joined }) => [uid, joined])).toEqual([['a', false]]);
  });

  test('begins at the present when what its exporter holds is too old to be resumed', async () => {
    const api = new ScriptedApiServer();
    api.change('ADDED', 'a');
    api.forget();
    const { feed } = newFeed(api, '50');
    await until(() => feed.state?.filled === true);
    expect(feed.state && resumeExporter(feed.state, '50', everything)).toBeUndefined();
  });

  /** A feed that is to follow from 102, when `a` and `b` were there, and is told that this is too old; `a` is gone. */
  async function expired(api: ScriptedApiServer): Promise<Omit<Rig, 'peer'>> {
    for (const uid of ['a', 'b']) api.change('ADDED', uid);
    api.change('DELETED', 'a');
    api.version = 110;
    api.forget();
    // As kube-apiserver says it: the watch is opened, and its first event is the refusal.
    api.refusesExpired = 'in the stream';
    const rig = newFeed(api, '102');
    await until(() => rig.feed.state?.filled === true && rig.feed.state.position === '110');
    expect(rig.counted).toContain('relist expired');
    return rig;
  }

  test('tells an exporter of deletions that its watch has missed, for the API server knows what there was before', async () => {
    const { feed } = await expired(new ScriptedApiServer());
    const subscription = feed.state && resumeExporter(feed.state, '102', everything);
    const peer = new WatchPeer();
    peer.store.set('a', '101').set('b', '102');
    subscription?.attach(peer.response());
    subscription?.flush();
    expect([...peer.store]).toEqual([['b', '102']]);
  });

  test('does not resume an exporter past deletions that nobody can tell it of', async () => {
    const api = new ScriptedApiServer();
    api.compacted = 105;
    const { feed } = await expired(api);
    expect(feed.state && resumeExporter(feed.state, '102', everything)).toBeUndefined();
  });

  for (const [isCompacted, what] of [
    [false, 'tells a returning exporter of what went in a gap behind its load'],
    [true, 'has a returning exporter list anew after a gap behind its load, when nobody knows any more what there was'],
  ] as const) {
    test(what, async () => {
      const api = new ScriptedApiServer();
      for (const uid of ['a', 'b']) api.change('ADDED', uid);
      const lag = api.hold();
      api.change('DELETED', 'a');
      const { feed } = newFeed(api, '102');
      await until(() => feed.state?.filled === true && feed.connected);
      const { state } = feed;
      const subscription = state === undefined ? undefined : resumeExporter(state, '102', everything);
      if (state === undefined || subscription === undefined) throw new Error('not resumed');
      const peer = new WatchPeer();
      peer.store.set('a', '101').set('b', '102');
      subscription.attach(peer.response());
      feed.adopt(subscription);
      await until(() => peer.ended);
      peer.rewatch(subscription);
      // The load is at 103, and the watch, which has yet to bring the deletion, never will.
      expect(peer.store.has('a')).toBe(true);
      api.forget();
      if (isCompacted) api.compacted = 103;
      api.cut();
      lag.release();
      await until(() => state.position === '103' && feed.connected);
      expect(subscription.closed).toBe(isCompacted);
      if (!isCompacted) expect([...peer.store]).toEqual([['b', '102']]);
    });
  }

  test('waits with its list as long as the server asks', async () => {
    const api = new ScriptedApiServer();
    api.change('ADDED', 'a');
    api.next((_, query) =>
      query.has('sendInitialEvents') ? status(429, 'TooManyRequests', { 'retry-after': '4' }) : undefined,
    );
    const { feed, slept, counted } = newFeed(api);
    await until(() => feed.state?.filled === true);
    expect(slept.some((ms) => ms >= 4_000 && ms < 6_000)).toBe(true);
    expect(counted).toContain('load 429');
  });

  test('asks again for an answer that stands still', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    try {
      const api = new ScriptedApiServer();
      api.change('ADDED', 'a');
      const hanging = new PassThrough();
      hanging.write('k8s');
      api.next((_, query) =>
        query.get('limit') === '1' ? { ...protobuf(Buffer.alloc(0)), body: hanging } : undefined,
      );
      const { feed, counted } = newFeed(api);
      for (let i = 0; i < 400 && feed.state?.filled !== true; i++) await vi.advanceTimersByTimeAsync(100);
      expect(feed.state?.filled).toBe(true);
      expect(counted).toContain('reconnect timeout');
    } finally {
      vi.useRealTimers();
    }
  });

  test('lists page by page where the server knows no WatchList', async () => {
    const api = new ScriptedApiServer();
    api.change('ADDED', 'a');
    api.next((_, query) => (query.has('sendInitialEvents') ? status(422, 'Invalid') : undefined));
    const { feed } = newFeed(api);
    await until(() => feed.state?.filled === true);
    expect(feed.state?.index.size).toBe(1);
    expect(lists(api)).toHaveLength(1);
  });
});

describe('a feed that fails for a reason of its own', () => {
  test('ends the watches of its exporter, which would wait for ever', async () => {
    const { api, feed, counted } = await newRig('a');
    const [subscription] = feed.state?.subscriptions ?? [];
    counted.push = () => {
      throw new Error('a defect');
    };
    api.cut(new Error('ECONNRESET'));
    await until(() => subscription?.closed === true);
    expect(feed.state?.subscriptions).toEqual([]);
  });
});

describe('the proof of a feed', () => {
  test('holds as soon as its watch has passed the consistent read', async () => {
    const { api, feed } = await newRig('a');
    api.change('ADDED', 'b');
    expect(await feed.prove(AbortSignal.timeout(3_000))).toBe('102');
  });

  test('holds for an idle watch when it knows as many objects as the server', async () => {
    const { api, feed } = await newRig('a');
    api.version = 500;
    expect(await feed.prove(AbortSignal.timeout(3_000))).toBe('500');
  });

  test('is not asked for again for a position that is proved already', async () => {
    const { api, feed } = await newRig('a');
    api.version = 500;
    await feed.prove(AbortSignal.timeout(3_000));
    feed.halt();
    expect(await feed.prove(AbortSignal.timeout(300), '400')).toBe('400');
    await expect(feed.prove(AbortSignal.timeout(300), '501')).rejects.toThrow('it is not connected');
    expect(() => feed.count(new Set([0]))).toThrow('does not follow');
  });

  test('fails for a watch that has stopped, and for one that misses an object', async () => {
    const { api, feed } = await newRig('a');
    api.objects.set('unseen', 300);
    api.version = 300;
    await expect(feed.prove(AbortSignal.timeout(300))).rejects.toThrow('has not reached position 300');
    api.objects.delete('unseen');
    feed.halt();
    await expect(feed.prove(AbortSignal.timeout(300))).rejects.toThrow('it is not connected');
  });
});
