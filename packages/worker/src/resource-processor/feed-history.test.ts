import { createLogger } from '@shard-controller/shared/observability';
import { systemClock } from '@shard-controller/shared/runtime';
import { afterEach, describe, expect, test } from 'vitest';
import { SlotRole } from '../migration-handler/index.ts';
import { Feed } from './feed.ts';
import { resumeExporter } from './feed-difference.ts';
import { KindCatalog } from './kind-catalog.ts';
import { Semaphore } from './semaphore.ts';
import { slotHashOf } from './slot-hash.ts';
import { SlotState, type Subscription } from './subscription.ts';
import { ScriptedApiServer, status } from './testing/scripted-api-server.ts';
import { WatchPeer } from './testing/watch-peer.ts';

const SLOTS = 64;
const everything = new Uint8Array(SLOTS).fill(SlotRole.Owned);

const stops: AbortController[] = [];
afterEach(() => {
  for (const stop of stops.splice(0)) stop.abort();
});

function newFeed(api: ScriptedApiServer, resumeFrom?: string): { feed: Feed; causes: string[] } {
  const causes: string[] = [];
  const feed = new Feed(
    {
      path: '/api/v1/pods',
      group: '',
      version: 'v1',
      resource: 'pods',
      namespace: '',
      fieldSelector: '',
      labelSelector: '',
      accept: 'application/vnd.kubernetes.protobuf,application/json',
    },
    { slotCount: SLOTS, slotHash: slotHashOf('uid', SLOTS) },
    {
      upstream: api,
      kinds: new KindCatalog(api),
      logger: createLogger({ name: 'test', level: 'silent' }),
      clock: { ...systemClock, sleep: (ms, signal) => systemClock.sleep(Math.min(ms, 2), signal) },
      random: () => 0.5,
      metrics: { relist: (_resource, cause) => causes.push(cause) },
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
  return { feed, causes };
}

interface Rig {
  readonly api: ScriptedApiServer;
  readonly feed: Feed;
  readonly causes: readonly string[];
  readonly peer: WatchPeer;
  readonly subscription: Subscription;
}

/** A feed whose exporter has rendered everything. */
async function newRig(...uids: readonly string[]): Promise<Rig> {
  const api = new ScriptedApiServer();
  for (const uid of uids) api.change('ADDED', uid);
  const { feed, causes } = newFeed(api);
  await until(() => feed.state !== undefined);
  const peer = new WatchPeer();
  const subscription = feed.state?.subscribe();
  if (subscription === undefined) throw new Error('the feed is not open');
  subscription.attach(peer.response());
  feed.adopt(subscription);
  const timer = setInterval(() => {
    if (subscription.closed) clearInterval(timer);
    else if (peer.ended) peer.rewatch(subscription);
  }, 1);
  await until(() => subscription.slots.every((slot) => slot === SlotState.Shown));
  peer.log.length = 0;
  return { api, feed, causes, peer, subscription };
}

async function until(holds: () => boolean): Promise<void> {
  await expect.poll(holds, { timeout: 3_000, interval: 1 }).toBe(true);
}

const held = ({ peer }: Rig): string[] => Array.from(peer.store, ([uid, version]) => `${uid}@${version}`).sort();

describe('a feed whose API server went back to an older state', () => {
  /** `kept` and `changed` and `deleted` at 101 to 103, restored after each has had its fate and `created` came. */
  async function restored(): Promise<Rig> {
    const rig = await newRig('kept', 'changed', 'deleted');
    const restore = rig.api.backup();
    rig.api.change('MODIFIED', 'changed');
    rig.api.change('DELETED', 'deleted');
    rig.api.change('ADDED', 'created');
    await until(() => rig.feed.state?.position === '106');
    rig.peer.log.length = 0;
    restore();
    return rig;
  }

  test('tells its exporter what the backup undid, deletions first, and goes on from there', async () => {
    const rig = await restored();
    const { api, feed, peer, causes } = rig;
    await until(() => feed.connected && feed.state?.position === '103');
    await until(() => peer.log.at(-1) === 'BOOKMARK @103');
    expect(held(rig)).toEqual(['changed@102', 'deleted@103', 'kept@101']);
    expect(peer.log.filter((line) => !line.startsWith('BOOKMARK'))[0]).toBe('DELETED created@103');
    expect(peer.resumeVersion).toBe('103');
    expect(causes).toEqual(['restored']);
    api.change('MODIFIED', 'kept');
    await until(() => peer.store.get('kept') === '104');
    expect(await feed.prove(AbortSignal.timeout(3_000))).toBe('104');
  });

  test('sends an object again that looks the same, for a version names something else now', async () => {
    const { peer, feed } = await restored();
    await until(() => feed.connected && feed.state?.position === '103');
    expect(peer.log).toContain('MODIFIED kept@101');
  });

  test('takes nothing for proved meanwhile, and nothing from before for proved afterwards', async () => {
    const { api, feed } = await newRig('a');
    const restore = api.backup();
    api.version = 500;
    await feed.prove(AbortSignal.timeout(3_000));
    api.change('MODIFIED', 'a');
    await until(() => feed.state?.position === '501');
    restore();
    await until(() => feed.connected && feed.state?.position === '101');
    feed.halt();
    await expect(feed.prove(AbortSignal.timeout(100), '400')).rejects.toThrow('is not connected');
  });

  test('lets an exporter that got ahead of it list anew, however far it has come since', async () => {
    const { api, feed } = await restored();
    await until(() => feed.connected && feed.state?.position === '103');
    const { state } = feed;
    if (state === undefined) throw new Error('the feed is not open');
    expect(await feed.reaches('106', AbortSignal.timeout(3_000))).toBe(false);
    for (let i = 0; i < 5; i++) api.change('MODIFIED', 'kept');
    await until(() => state.position === '108');
    expect(await feed.reaches('106', AbortSignal.timeout(3_000))).toBe(true);
    expect(resumeExporter(state, '106', everything)).toBeUndefined();
    expect(resumeExporter(state, '107', everything)).toBeDefined();
  });

  test('asks until it gets an answer, for such a watch says nothing by itself', async () => {
    const rig = await newRig('a');
    const restore = rig.api.backup();
    rig.api.change('ADDED', 'b');
    await until(() => rig.peer.store.has('b'));
    for (const code of [500, 429, 504]) {
      rig.api.next((_, query) => (query.get('limit') === '1' ? status(code, 'Failure') : undefined));
    }
    restore();
    await until(() => !rig.peer.store.has('b'));
  });

  test('begins at the present when its exporter is ahead of that', async () => {
    const api = new ScriptedApiServer();
    api.change('ADDED', 'a');
    const { feed } = newFeed(api, '900');
    await until(() => feed.state?.filled === true);
    expect(feed.state?.position).toBe('101');
    expect(await feed.reaches('900', AbortSignal.timeout(3_000))).toBe(false);
  });
});

test('objects are what a restored backup says although the revision was raised with it', async () => {
  // `etcdutl snapshot restore --bump-revision`: the list is newer than anything before, its objects are older.
  const rig = await newRig('changed', 'deleted');
  const restore = rig.api.backup();
  rig.api.change('MODIFIED', 'changed');
  rig.api.change('DELETED', 'deleted');
  rig.api.change('ADDED', 'created');
  await until(() => rig.peer.store.has('created'));
  restore();
  rig.api.version = 1_000_000;
  rig.api.forget();
  await until(() => rig.feed.connected && rig.feed.state?.position === '1000000');
  await until(() => rig.peer.log.at(-1) === 'BOOKMARK @1000000');
  expect(held(rig)).toEqual(['changed@101', 'deleted@102']);
  expect(rig.causes).toEqual(['expired']);
});

test('a replica that lags behind proves nothing: neither its watch nor a read that it cannot answer', async () => {
  const rig = await newRig('a', 'b');
  const { api, feed, peer } = rig;
  const lag = api.hold();
  api.change('MODIFIED', 'a');
  api.change('DELETED', 'b');
  let asked = 0;
  const refuse = (): void =>
    api.next((_, query) => {
      if (query.get('limit') !== '1') return undefined;
      if (++asked < 5) refuse();
      return status(504, 'Timeout');
    });
  refuse();
  api.cut();
  await until(() => asked === 5 && feed.connected);
  expect(held(rig)).toEqual(['a@101', 'b@102']);
  lag.release();
  await until(() => !peer.store.has('b'));
  expect(held(rig)).toEqual(['a@103']);
  expect(rig.causes).toEqual([]);
});
