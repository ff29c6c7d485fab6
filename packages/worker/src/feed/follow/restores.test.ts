import { PATIENCE_MS, until } from '@shard-controller/shared/testing';
import { afterEach, describe, expect, test } from 'vitest';
import { ScriptedApiServer, status } from '../../upstream/testing/scripted-api-server.ts';
import { resumeExporter } from '../books/difference.ts';
import { Restores } from './restores.ts';
import { everything, loseWatch, newFeed, newRig, type Rig, rigOf, stopFeeds } from './testing/feed-rig.ts';

afterEach(stopFeeds);

const relists = ({ counted }: Pick<Rig, 'counted'>): string[] => counted.filter((line) => line.startsWith('relist'));

const held = ({ peer }: Rig): string[] => Array.from(peer.store, ([uid, version]) => `${uid}@${version}`).sort();

describe('a feed whose API server went back to an older state', () => {
  /** `kept` and `changed` and `deleted` at 101 to 103, restored after each has had its fate and `created` came. */
  async function restored(): Promise<Rig> {
    const rig = await newRig('kept', 'changed', 'deleted');
    const restore = rig.api.backup();
    rig.api.change('MODIFIED', 'changed');
    rig.api.change('DELETED', 'deleted');
    rig.api.change('ADDED', 'created');
    await until(() => rig.peer.store.has('created'));
    rig.peer.log.length = 0;
    restore();
    return rig;
  }

  test('tells its exporter what the backup undid, deletions first, and continues from there', async () => {
    const rig = await restored();
    const { api, feed, peer } = rig;
    await until(() => feed.connected && feed.state?.position === '103');
    await until(() => peer.log.at(-1) === 'BOOKMARK @103');
    expect(held(rig)).toEqual(['changed@102', 'deleted@103', 'kept@101']);
    expect(peer.log.filter((line) => !line.startsWith('BOOKMARK'))[0]).toBe('DELETED created@103');
    expect(peer.resumeVersion).toBe('103');
    expect(relists(rig)).toEqual(['relist restored']);
    api.change('MODIFIED', 'kept');
    await until(() => peer.store.get('kept') === '104');
    expect(await feed.verification.prove(AbortSignal.timeout(PATIENCE_MS))).toBe('104');
  });

  test('sends an object again that looks the same, for a version names something else now', async () => {
    const { peer, feed } = await restored();
    await until(() => feed.connected && feed.state?.position === '103');
    expect(peer.log).toContain('MODIFIED kept@101');
  });

  test('does so although the cluster has passed everything lost by the time of the list', async () => {
    const rig = await restored();
    const { api, feed, peer } = rig;
    api.next((_, query) => {
      if (query.get('limit') !== '50') return undefined;
      // Under a version that named another state of it before.
      api.change('MODIFIED', 'changed');
      for (let i = 0; i < 5; i++) api.change('MODIFIED', 'kept');
      peer.log.length = 0;
      return undefined;
    });
    await until(() => feed.connected && feed.state?.position === '109');
    await until(() => peer.log.at(-1) === 'BOOKMARK @109');
    expect(peer.log).toContain('MODIFIED changed@104');
    expect(held(rig)).toEqual(['changed@104', 'deleted@103', 'kept@109']);
    expect(relists(rig)).toEqual(['relist restored']);
  });

  test('takes nothing for proved meanwhile, and nothing from before for proved afterwards', async () => {
    const { api, feed } = await newRig('a');
    const restore = api.backup();
    api.version = 500;
    await feed.verification.prove(AbortSignal.timeout(PATIENCE_MS));
    api.change('MODIFIED', 'a');
    await until(() => feed.state?.position === '501');
    restore();
    await until(() => feed.connected && feed.state?.position === '101');
    await loseWatch(api, feed);
    await expect(feed.verification.prove(AbortSignal.timeout(100), '400')).rejects.toThrow('is not connected');
  });

  test('lets an exporter that got ahead of it list again, however far it has come since', async () => {
    const { api, feed } = await restored();
    await until(() => feed.connected && feed.state?.position === '103');
    const { state } = feed;
    if (state === undefined) throw new Error('the feed is not open');
    expect(await feed.reaches('106', AbortSignal.timeout(PATIENCE_MS))).toBe(false);
    for (let i = 0; i < 5; i++) api.change('MODIFIED', 'kept');
    await until(() => state.position === '108');
    expect(await feed.reaches('106', AbortSignal.timeout(PATIENCE_MS))).toBe(true);
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
    expect(held(rig)).toEqual(['a@101']);
  });

  test('begins at the present when its exporter is ahead of that', async () => {
    const api = new ScriptedApiServer();
    api.change('ADDED', 'a');
    const { feed } = newFeed(api, '900');
    await until(() => feed.state?.filled === true);
    expect(feed.state?.position).toBe('101');
    expect(await feed.reaches('900', AbortSignal.timeout(PATIENCE_MS))).toBe(false);
  });
});

test('what one feed has found out makes all others compare, however new their own lists look', async () => {
  const restores = new Restores();
  const found = new ScriptedApiServer();
  const quiet = new ScriptedApiServer();
  for (const api of [found, quiet]) api.change('ADDED', 'a');
  const backups = [found, quiet].map((api) => api.backup());
  const [first, second] = await Promise.all([found, quiet].map((api) => rigOf(newFeed(api, undefined, restores))));
  if (first === undefined || second === undefined) throw new Error('two rigs');
  found.change('MODIFIED', 'a');
  // The same version in both histories, and the same object.
  quiet.change('MODIFIED', 'a');
  await until(() => first.peer.store.get('a') === '102' && second.peer.store.get('a') === '102');
  second.peer.log.length = 0;
  for (const restore of backups) restore();
  quiet.change('MODIFIED', 'a');
  await until(() => first.peer.store.get('a') === '101');
  await until(() => second.peer.log.includes('MODIFIED a@102'));
  expect(relists(first)).toEqual(['relist restored']);
  expect(relists(second)).toEqual(['relist restored']);
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
  expect(relists(rig)).toEqual(['relist expired']);
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
  expect(relists(rig)).toEqual([]);
});
