import { describe, expect, it } from 'vitest';
import { elapse, waitUntil } from '../../testing/index.ts';
import { sendStatus } from '../testing/fake-api-server.ts';
import type { Parsed } from './object-cache.ts';
import { type Raw, reflectorRigs, THINGS } from './testing/reflector-rig.ts';

const rigs = reflectorRigs();

describe('what a reflector asks for', () => {
  it('watches with bookmarks, a jittered time-out and the position of its list', async () => {
    const rig = rigs();
    rig.server.store(THINGS).put('a');
    rig.reflect({ query: { labelSelector: 'app=x' }, random: () => 0.5 });
    const { query } = (await rig.onlyWatch()).request;
    expect(Object.fromEntries(query)).toEqual({
      watch: 'true',
      allowWatchBookmarks: 'true',
      resourceVersion: '101',
      timeoutSeconds: '360',
      labelSelector: 'app=x',
    });
  });

  it('lists in pages and gives list and watch objects the same form', async () => {
    const rig = rigs();
    for (let n = 0; n < 12; n += 1)
      rig.server.store(THINGS).put(`thing-${n}`, { metadata: { creationTimestamp: '2026-01-01T00:00:00Z' } });
    const seen: Raw[] = [];
    rig.reflect({
      pageSize: 5,
      parse: (raw): Parsed<Raw> => {
        seen.push(raw);
        return { ok: true, value: raw };
      },
    });
    await rig.onlyWatch();
    expect(rig.server.seen('list').map((request) => request.query.get('continue'))).toEqual([null, '112:5', '112:10']);
    expect(rig.mirror.calls).toEqual(['replace 12 @112']);
    expect(seen[0]).toMatchObject({
      kind: 'Thing',
      apiVersion: 'v1',
      metadata: { creationTimestamp: '2026-01-01T00:00:00Z' },
    });
  });

  it('delivers a list of 10,000 objects without blocking the event loop for a second', async () => {
    const rig = rigs();
    for (let n = 0; n < 10_000; n += 1)
      rig.server.store(THINGS).put(`thing-${n}`, { spec: { padding: 'x'.repeat(200) } });
    let longest = 0;
    let last = process.cpuUsage();
    // What it computes at a stretch: others may have the processor meanwhile.
    const ticker = setInterval(() => {
      const { user } = process.cpuUsage(last);
      longest = Math.max(longest, user / 1_000);
      last = process.cpuUsage();
    }, 5);
    const reflector = rig.reflect();
    await reflector.synced;
    clearInterval(ticker);
    expect(rig.mirror.objects.size).toBe(10_000);
    expect(longest).toBeLessThan(1_000);
  });

  it('lists in one stream where the server can, and page by page where it refuses', async () => {
    const rig = rigs();
    rig.server.store(THINGS).put('a');
    rig.reflect({ listMode: 'Streaming' });
    const watch = await rig.onlyWatch();
    await rig.expectFollowing();
    expect(watch.request.query.get('sendInitialEvents')).toBe('true');
    expect(rig.server.seen('list')).toHaveLength(0);
    expect(rig.mirror.calls).toEqual(['replace 1 @101', 'upsert proof']);
    rig.stop.abort();
    await Promise.all(rig.runs);

    rig.stop = new AbortController();
    rig.server.inject('watch', (_, response) => sendStatus(response, 422, 'Invalid', 'sendInitialEvents is forbidden'));
    const paged = rig.reflect({ listMode: 'Streaming' });
    await paged.synced;
    expect(rig.server.seen('list')).toHaveLength(1);
  });
});

describe('start and stop', () => {
  it('stop during the first list leaves nothing open and opens nothing later', async () => {
    const rig = rigs();
    rig.server.inject('list', () => {});
    rig.reflect();
    await waitUntil('the list hangs', () => rig.server.seen('list').length === 1);
    rig.stop.abort();
    await Promise.all(rig.runs);
    await waitUntil('the connection is closed', () => rig.server.openSockets === 0);
    await elapse(100);
    expect(rig.server.seen('watch')).toHaveLength(0);
    expect(rig.mirror.calls).toEqual([]);
  });

  it('stop during a watch closes it', async () => {
    const rig = rigs();
    rig.reflect();
    await rig.onlyWatch();
    rig.stop.abort();
    await Promise.all(rig.runs);
    await waitUntil('the watch is closed', () => rig.server.watches.size === 0);
    expect(rig.server.seen('watch')).toHaveLength(1);
  });

  it('run twice is one watch, and run after stop lists again', async () => {
    const rig = rigs();
    const reflector = rig.reflect();
    rig.runs.push(reflector.run(rig.stop.signal));
    await rig.onlyWatch();
    await rig.expectFollowing();
    expect(rig.server.seen('watch')).toHaveLength(1);
    rig.stop.abort();
    await Promise.all(rig.runs);
    const second = new AbortController();
    const again = reflector.run(second.signal);
    await waitUntil('a second list', () => rig.server.seen('list').length === 2);
    second.abort();
    await again;
  });

  it('run with an aborted signal asks for nothing', async () => {
    const rig = rigs();
    rig.stop.abort();
    rig.reflect();
    await Promise.all(rig.runs);
    expect(rig.server.requests).toHaveLength(0);
  });
});

describe('handlers and invalid objects', () => {
  it('a callback that throws is logged and counted, and the rest continues', async () => {
    const rig = rigs();
    rig.mirror.poison.add('bad').add('replace');
    rig.reflect();
    await rig.onlyWatch();
    rig.server.store(THINGS).put('bad');
    await rig.expectFollowing();
    expect(rig.mirror.names()).toEqual(['proof']);
    expect(rig.log.filter((line) => line.includes('a handler of watched objects failed'))).toHaveLength(2);
    expect(rig.server.seen('watch')).toHaveLength(1);
  });

  it('an async callback that rejects is no unhandled rejection', async () => {
    const rig = rigs();
    // oxlint-disable-next-line typescript/no-misused-promises -- TypeScript allows it, so it happens: the case of this test
    const late: () => void = async () => Promise.reject(new Error('late'));
    rig.reflect({
      handler: {
        replace: () => {},
        upsert: late,
        remove: () => {},
      },
    });
    await rig.onlyWatch();
    rig.server.store(THINGS).put('a');
    await waitUntil('it is logged', () => rig.log.some((line) => line.includes('late')));
    expect(rig.server.watches.size).toBe(1);
  });

  it('an object that turns invalid keeps its last valid form, through a relist too, until it is deleted', async () => {
    const rig = rigs();
    const refused: string[] = [];
    const store = rig.server.store(THINGS);
    store.put('a', { good: true });
    rig.reflect({
      parse: (raw): Parsed<Raw> =>
        raw['good'] === true ? { ok: true, value: raw } : { ok: false, problems: ['good: must be true'] },
      handler: {
        replace: (items, rv) => rig.mirror.replace(items, rv),
        upsert: (object) => rig.mirror.upsert(object),
        remove: (object) => rig.mirror.remove(object),
        invalid: (_, problems) => void refused.push(...problems),
      },
    });
    const watch = await rig.onlyWatch();
    store.put('a', { good: false });
    await waitUntil('it is reported', () => refused.length === 1);
    expect(rig.mirror.names()).toEqual(['a']);
    watch.error(410, 'Expired');
    await waitUntil('it is reported again by the list', () => refused.length === 2);
    expect(rig.mirror.names()).toEqual(['a']);
    await rig.onlyWatch();
    store.delete('a');
    await waitUntil('it is gone', () => rig.mirror.objects.size === 0);
  });

  it('an object that never was valid is told to be gone, by a watch and by a list', async () => {
    const rig = rigs();
    const gone: unknown[] = [];
    const present: number[] = [];
    const store = rig.server.store(THINGS);
    rig.reflect({
      parse: (): Parsed<Raw> => ({ ok: false, problems: ['never'] }),
      handler: {
        replace: (_, __, invalid) => void present.push(invalid.length),
        upsert: () => {},
        remove: () => {},
        removeInvalid: (raw) => void gone.push(raw['metadata']),
      },
    });
    const watch = await rig.onlyWatch();
    store.put('a');
    store.put('b');
    store.delete('a');
    await waitUntil('it is gone', () => gone.length === 1);
    expect(gone).toMatchObject([{ name: 'a' }]);
    watch.error(410, 'Expired');
    await waitUntil('what is there is listed', () => present.length === 2);
    expect(present).toEqual([0, 1]);
  });

  it('tells how old its newest sign of life is, and its position', async () => {
    const rig = rigs();
    const reflector = rig.reflect();
    expect(reflector.lastProofMs).toBeUndefined();
    const watch = await rig.onlyWatch();
    await reflector.synced;
    const before = reflector.lastProofMs ?? 0;
    watch.bookmark(300);
    await waitUntil('the bookmark is seen', () => reflector.resourceVersion === '300');
    expect(reflector.lastProofMs).toBeGreaterThan(before);
  });
});
