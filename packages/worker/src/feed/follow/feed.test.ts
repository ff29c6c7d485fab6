import { PassThrough, Readable } from 'node:stream';
import { PATIENCE_MS, until } from '@shard-controller/shared/testing';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { ScriptedApiServer, status } from '../../upstream/testing/scripted-api-server.ts';
import { protobufBookmark, protobufFrame } from '../../wire/testing/wire.ts';
import { resumeExporter } from '../books/difference.ts';
import { awaitsDeletions } from '../books/slots.ts';
import { SlotState } from '../books/subscription.ts';
import { WatchPeer } from '../books/testing/watch-peer.ts';
import {
  everything,
  gone,
  lists,
  loseWatch,
  newFeed,
  newRig,
  plainWatches,
  protobuf,
  stopFeeds,
  subscribe,
} from './testing/feed-rig.ts';

afterEach(stopFeeds);

describe('a feed that opens', () => {
  test('says so when the server has no such kind, and opens when it has', async () => {
    const api = new ScriptedApiServer();
    api.next(() => status(404, 'NotFound'));
    const { feed } = newFeed(api);
    expect(await feed.opened(AbortSignal.timeout(PATIENCE_MS))).toBe(false);
    expect(feed.refusal?.status).toBe(404);
    await until(() => feed.state !== undefined);
    expect(feed.refusal).toBeUndefined();
  });

  test('waits for a missing permission, and names it', async () => {
    const api = new ScriptedApiServer();
    for (let i = 0; i < 3; i++)
      api.next((request) => (request.path === '/api/v1/pods' ? status(403, 'Forbidden') : undefined));
    const { feed } = newFeed(api);
    await until(() => feed.refusal !== undefined);
    expect(feed.refusal?.message).toContain("grant the worker's ServiceAccount get, list and watch on /api/v1/pods");
    expect(await feed.opened(AbortSignal.timeout(PATIENCE_MS))).toBe(true);
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

  test('does not resume an exporter past deletions that nobody has told it of', async () => {
    const api = new ScriptedApiServer();
    for (const uid of ['a', 'b']) api.change('ADDED', uid);
    api.objects.delete('a');
    api.version = 110;
    // As kube-apiserver says it: the watch is opened, and its first event is the refusal.
    api.next((_, query) =>
      query.get('watch') === 'true' && !query.has('sendInitialEvents')
        ? {
            status: 200,
            headers: { 'content-type': 'application/vnd.kubernetes.protobuf;stream=watch' },
            body: Readable.from([protobufFrame('ERROR', gone)]),
          }
        : undefined,
    );
    const { feed, counted } = newFeed(api, '102');
    await until(() => feed.state?.filled === true && feed.state.position === '110');
    expect(counted).toContain('relist expired');
    expect(feed.state && resumeExporter(feed.state, '102', everything)).toBeUndefined();
  });

  test('has its watch pass the load of a returning exporter within seconds, so that a later gap hides nothing', async () => {
    const api = new ScriptedApiServer();
    api.change('ADDED', 'a');
    const { feed } = newFeed(api, '101');
    // Other kinds change meanwhile: the load is ahead of this quiet watch.
    api.version = 120;
    await until(() => feed.state?.filled === true && feed.connected);
    const { state } = feed;
    const subscription = state === undefined ? undefined : resumeExporter(state, '101', everything);
    if (state === undefined || subscription === undefined) throw new Error('not resumed');
    const peer = new WatchPeer();
    subscription.attach(peer.response());
    feed.adopt(subscription);
    await until(() => awaitsDeletions(state));
    feed.tidy();
    await until(() => plainWatches(api).some((query) => query.includes('timeoutSeconds=8')) && feed.connected);
    api.say(protobufBookmark('120'));
    await until(() => state.position === '120');
    expect(awaitsDeletions(state)).toBe(false);
    api.say(protobufFrame('ERROR', gone));
    await until(() => plainWatches(api).length > 2);
    expect(subscription.closed).toBe(false);
  });

  test('waits with its list as long as the server asks', async () => {
    const api = new ScriptedApiServer();
    api.change('ADDED', 'a');
    api.next((_, query) =>
      query.has('sendInitialEvents') ? status(429, 'TooManyRequests', { 'retry-after': '4' }) : undefined,
    );
    const { feed, slept, counted } = newFeed(api);
    await until(() => feed.state?.filled === true);
    expect(slept.some((ms) => ms >= 4_000 && ms < 6_000)).toBe(true);
    expect(counted).toContain('load throttled');
  });

  test('asks again for an answer that stalls', async () => {
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

  test('gives up a first list that is for nobody once an exporter waits for one', async () => {
    const api = new ScriptedApiServer();
    api.change('ADDED', 'a');
    const headers = { 'content-type': 'application/vnd.kubernetes.protobuf;stream=watch' };
    api.next((_, query) =>
      query.has('sendInitialEvents') ? { status: 200, headers, body: new PassThrough() } : undefined,
    );
    const { feed, slept } = newFeed(api);
    await until(() => api.requests.some((query) => query.includes('sendInitialEvents')));
    const peer = new WatchPeer();
    const subscription = subscribe(feed, peer);
    await until(() => subscription.slots.every((slot) => slot === SlotState.Shown));
    expect([...peer.store.keys()]).toEqual(['a']);
    expect(slept).toEqual([]);
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
    expect(await feed.verification.prove(AbortSignal.timeout(PATIENCE_MS))).toBe('102');
  });

  test('holds for an idle watch when it knows as many objects as the server', async () => {
    const { api, feed } = await newRig('a');
    api.version = 500;
    expect(await feed.verification.prove(AbortSignal.timeout(PATIENCE_MS))).toBe('500');
  });

  test('is not asked for again for a position that is proved already', async () => {
    const { api, feed } = await newRig('a');
    api.version = 500;
    await feed.verification.prove(AbortSignal.timeout(PATIENCE_MS));
    await loseWatch(api, feed);
    expect(await feed.verification.prove(AbortSignal.timeout(300), '400')).toBe('400');
    await expect(feed.verification.prove(AbortSignal.timeout(300), '501')).rejects.toThrow('it is not connected');
    expect(() => feed.verification.count(new Set([0]))).toThrow('does not follow');
  });

  test('fails for a watch that has stopped, and for one that misses an object', async () => {
    const { api, feed } = await newRig('a');
    api.objects.set('unseen', 300);
    api.version = 300;
    await expect(feed.verification.prove(AbortSignal.timeout(300))).rejects.toThrow('has not reached position 300');
    api.objects.delete('unseen');
    await loseWatch(api, feed);
    await expect(feed.verification.prove(AbortSignal.timeout(300))).rejects.toThrow('it is not connected');
  });
});
