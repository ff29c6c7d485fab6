import { describe, expect, it } from 'vitest';
import { elapse, waitUntil } from '../../testing/index.ts';
import { sendJson, sendStatus } from '../testing/fake-api-server.ts';
import { reflectorRigs, THINGS } from './testing/reflector-rig.ts';

const rigs = reflectorRigs();

describe('the failure table: no row ends the reflector', () => {
  it('list answers 503: it lists again', async () => {
    const rig = rigs();
    rig.server.inject('list', (_, response) => sendStatus(response, 503, 'ServiceUnavailable', 'shutting down'), 3);
    await rig.reflect().synced;
    expect(rig.server.seen('list')).toHaveLength(4);
    expect(await rig.failures('server-error')).toBe(3);
  });

  it('list answers 403 while RBAC caches fill: it lists again', async () => {
    const rig = rigs();
    rig.server.inject('list', (_, response) => sendStatus(response, 403, 'Forbidden', 'things is forbidden'), 2);
    await rig.reflect().synced;
    expect(await rig.failures('forbidden')).toBe(2);
  });

  it('list answers 404 because the CRD comes later: it lists again', async () => {
    const rig = rigs();
    rig.server.inject('list', (_, response) => sendStatus(response, 404, 'NotFound', 'no such resource'), 2);
    await rig.reflect().synced;
    expect(await rig.failures('not-found')).toBe(2);
  });

  it('list answers with something that is no JSON: it lists again', async () => {
    const rig = rigs();
    rig.server.inject('list', (_, response) => response.end('<html>proxy error</html>'));
    await rig.reflect().synced;
    expect(await rig.failures('malformed')).toBe(1);
  });

  it('the pages of a list expire half-way: it lists again', async () => {
    const rig = rigs();
    for (let n = 0; n < 4; n += 1) rig.server.store(THINGS).put(`thing-${n}`);
    rig.server.inject('list', (_, response) =>
      sendJson(response, 200, { metadata: { resourceVersion: '104', continue: '50:2' }, items: [] }),
    );
    await rig.reflect({ pageSize: 2 }).synced;
    expect(rig.mirror.objects.size).toBe(4);
    expect(await rig.failures('gone')).toBe(1);
  });

  it.each([403, 429, 500])('watch answers %i: it watches again from the same position', async (status) => {
    const rig = rigs();
    rig.server.inject('watch', (_, response) => sendStatus(response, status, 'Refused', 'not now'));
    rig.reflect();
    await rig.onlyWatch();
    await rig.expectFollowing();
    expect(rig.server.seen('watch').map((request) => request.query.get('resourceVersion'))).toEqual(['100', '100']);
    expect(rig.server.seen('list')).toHaveLength(1);
  });

  it('watch answers 429 with Retry-After: it waits that long', async () => {
    const rig = rigs();
    rig.server.inject('watch', (_, response) =>
      sendStatus(response, 429, 'TooManyRequests', 'later', { 'retry-after': '1' }),
    );
    const before = performance.now();
    rig.reflect();
    await rig.onlyWatch();
    expect(performance.now() - before).toBeGreaterThan(950);
    expect(await rig.failures('throttled')).toBe(1);
  });

  it('socket destroyed: it watches again from its position and misses nothing', async () => {
    const rig = rigs();
    rig.reflect();
    const watch = await rig.onlyWatch();
    rig.server.store(THINGS).put('before');
    await waitUntil('the first change arrives', () => rig.mirror.names().includes('before'));
    watch.destroy();
    rig.server.store(THINGS).put('meanwhile');
    await waitUntil('the change in between arrives', () => rig.mirror.names().includes('meanwhile'));
    expect(rig.server.seen('list')).toHaveLength(1);
    expect(rig.server.seen('watch').at(-1)?.query.get('resourceVersion')).toBe('101');
    expect(await rig.failures('connection')).toBe(1);
  });

  it('clean end: it watches again and lists nothing', async () => {
    const rig = rigs();
    rig.reflect();
    const watch = await rig.onlyWatch();
    rig.server.store(THINGS).put('a');
    await waitUntil('the change arrives', () => rig.mirror.names().includes('a'));
    watch.end();
    await waitUntil('a second watch', () => rig.server.seen('watch').length === 2);
    await rig.expectFollowing();
    expect(rig.server.seen('list')).toHaveLength(1);
  });

  it('watch ended at once and empty: counted as a failure and tried again with back-off', async () => {
    const rig = rigs();
    rig.server.inject('watch', (_, response) => response.end(), 3);
    rig.reflect();
    await rig.onlyWatch();
    await rig.expectFollowing();
    expect(await rig.failures('short-watch')).toBe(3);
  });

  it('truncated line: the half event is not delivered, and comes whole in the next watch', async () => {
    const rig = rigs();
    rig.reflect();
    const watch = await rig.onlyWatch();
    watch.write('{"type":"ADDED","object":{"metadata":{"name":"ha');
    watch.end();
    await waitUntil('a second watch', () => rig.server.seen('watch').length === 2);
    await rig.expectFollowing();
    expect(rig.mirror.names()).toEqual(['proof']);
    expect(await rig.failures('truncated')).toBe(1);
  });

  it('a line that is no event: counted, and watched again', async () => {
    const rig = rigs();
    rig.reflect();
    (await rig.onlyWatch()).write('[1, 2]\n');
    await waitUntil('a second watch', () => rig.server.seen('watch').length === 2);
    await rig.expectFollowing();
    expect(await rig.failures('malformed')).toBe(1);
  });

  it('an unknown event type: counted, not delivered, and watched again', async () => {
    const rig = rigs();
    rig.reflect();
    (await rig.onlyWatch()).write(
      '{"type":"SURPRISE","object":{"metadata":{"name":"s","uid":"s","resourceVersion":"150"}}}\n',
    );
    await waitUntil('a second watch', () => rig.server.seen('watch').length === 2);
    expect(rig.server.seen('watch').at(-1)?.query.get('resourceVersion')).toBe('100');
    expect(rig.mirror.names()).toEqual([]);
  });

  it('its position was compacted away while it was cut off: it lists again and removes what is gone', async () => {
    const rig = rigs();
    rig.server.store(THINGS).put('old');
    rig.reflect();
    const watch = await rig.onlyWatch();
    watch.destroy();
    rig.server.store(THINGS).delete('old');
    rig.server.store(THINGS).put('new');
    rig.server.store(THINGS).compact();
    await waitUntil('the new state arrives', () => rig.mirror.names().join() === 'new');
    expect(rig.mirror.calls).toEqual(['replace 1 @101', 'replace 1 @103']);
  });

  it('410 event: it lists again', async () => {
    const rig = rigs();
    rig.reflect();
    (await rig.onlyWatch()).error(410, 'Expired', 'too old resource version: 100 (200)');
    await waitUntil('a second list', () => rig.server.seen('list').length === 2);
    await rig.onlyWatch();
    await rig.expectFollowing();
    expect(await rig.failures('gone')).toBe(1);
  });

  it('410 answer: it lists again', async () => {
    const rig = rigs();
    rig.reflect();
    const watch = await rig.onlyWatch();
    rig.server.store(THINGS).put('a');
    rig.server.store(THINGS).put('b');
    await waitUntil('both arrive', () => rig.mirror.objects.size === 2);
    rig.server.inject('watch', (_, response) => sendStatus(response, 410, 'Gone', 'too old'));
    watch.destroy();
    await waitUntil('a second list', () => rig.server.seen('list').length === 2);
    await rig.expectFollowing();
    expect(await rig.failures('gone')).toBe(1);
  });

  it('an ERROR event that is no 410: it watches again, and lists when that does not help', async () => {
    const rig = rigs();
    rig.reflect();
    await rig.onlyWatch();
    for (let n = 0; n < 5; n += 1) {
      const watches = rig.server.seen('watch').length;
      (await rig.onlyWatch()).error(500, 'InternalError', 'etcdserver: no leader');
      await waitUntil('another watch', () => rig.server.seen('watch').length > watches);
    }
    await waitUntil('a second list', () => rig.server.seen('list').length === 2);
    await rig.expectFollowing();
    expect(await rig.failures('error-event')).toBe(5);
  });

  it('a silent watch: it is opened again, and what was swallowed arrives', async () => {
    const rig = rigs();
    const swallow = Promise.withResolvers<void>();
    rig.server.inject('watch', (_, response) => {
      response.writeHead(200);
      response.flushHeaders();
      response.on('close', () => swallow.resolve());
    });
    rig.reflect({ silenceMs: 1_000 });
    await waitUntil('the deaf watch is open', () => rig.server.seen('watch').length === 1);
    rig.server.store(THINGS).put('unheard');
    await waitUntil('it is heard after all', () => rig.mirror.names().includes('unheard'));
    await swallow.promise;
    expect(await rig.failures('silent')).toBe(1);
  });

  it('a server that never answers the watch: it is opened again', async () => {
    const rig = rigs();
    rig.server.inject('watch', () => {});
    rig.reflect({ silenceMs: 1_000 });
    await rig.onlyWatch();
    await rig.expectFollowing();
    expect(await rig.failures('silent')).toBe(1);
  });

  it('bookmarks keep an idle watch open, past the bound of silence', async () => {
    const rig = rigs();
    rig.reflect({ silenceMs: 1_500 });
    const watch = await rig.onlyWatch();
    for (let n = 0; n < 8; n += 1) {
      watch.bookmark(200 + n);
      await elapse(300);
    }
    expect(rig.server.seen('watch')).toHaveLength(1);
    watch.end();
    await waitUntil('a second watch', () => rig.server.seen('watch').length === 2);
    expect(rig.server.seen('watch').at(-1)?.query.get('resourceVersion')).toBe('207');
  });

  it('a server whose data went back in time: it lists again', async () => {
    const rig = rigs();
    rig.server.store(THINGS).put('a');
    rig.reflect();
    const watch = await rig.onlyWatch();
    watch.write('{"type":"MODIFIED","object":{"metadata":{"name":"a","uid":"uid-1","resourceVersion":"50"}}}\n');
    await waitUntil('a second list', () => rig.server.seen('list').length === 2);
    expect(await rig.failures('went-back')).toBe(1);
  });

  it('the API server goes away and comes back: it continues without a list', async () => {
    const rig = rigs();
    rig.reflect();
    await rig.onlyWatch();
    const { port } = rig.server;
    await rig.server.stop();
    await elapse(200);
    rig.server.store(THINGS).put('meanwhile');
    await rig.server.listen(port);
    await waitUntil('the change arrives', () => rig.mirror.names().includes('meanwhile'));
    expect(rig.server.seen('list')).toHaveLength(1);
    expect(await rig.failures('connection')).toBeGreaterThan(0);
  });

  it('logs trouble once and its end once, not every try', async () => {
    const rig = rigs();
    rig.server.inject('list', (_, response) => sendStatus(response, 403, 'Forbidden', 'things is forbidden'), 6);
    rig.reflect();
    await rig.onlyWatch();
    await rig.expectFollowing();
    await waitUntil('the recovery is logged', () => rig.log.some((line) => line.includes('watching again')));
    expect(rig.log.filter((line) => line.includes('a list or watch failed'))).toHaveLength(1);
  });
});
