import { Registry } from 'prom-client';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createLogger, type Logger } from '../../observability/index.ts';
import { elapse, waitUntil } from '../../testing/index.ts';
import { KubernetesClient, staticEndpoint } from '../client/index.ts';
import { FakeApiServer, type OpenWatch, sendJson, sendStatus } from '../testing/fake-api-server.ts';
import type { Parsed } from './object-cache.ts';
import { reflectorMetrics } from './reflector-metrics.ts';
import { Reflector } from './reflector.ts';
import type { ReflectorOptions } from './reflector-options.ts';
import { Mirror } from './testing/mirror.ts';

type Raw = Readonly<Record<string, unknown>>;

const THINGS = '/apis/test.shard.io/v1/namespaces/x/things';

let server: FakeApiServer;
let client: KubernetesClient;
let mirror: Mirror;
let registry: Registry;
let log: string[];
let stop: AbortController;
let runs: Promise<void>[];

function logger(): Logger {
  return createLogger({ name: 'test', level: 'debug', destination: { write: (line) => void log.push(line) } });
}

function reflect(options: Partial<ReflectorOptions<Raw>> = {}): Reflector<Raw> {
  const reflector = new Reflector<Raw>({
    client,
    path: THINGS,
    parse: (raw): Parsed<Raw> => ({ ok: true, value: raw }),
    handler: mirror,
    logger: logger(),
    metrics: reflectorMetrics(registry, 'things'),
    maxBackoffMs: 50,
    ...options,
  });
  runs.push(reflector.run(stop.signal));
  return reflector;
}

async function failures(cause: string): Promise<number> {
  const metric = await registry.getSingleMetric('shard_controller_reflector_failures_total')?.get();
  return metric?.values.find((value) => value.labels['cause'] === cause)?.value ?? 0;
}

async function onlyWatch(): Promise<OpenWatch> {
  await waitUntil('exactly one watch is open', () => server.watches.size === 1);
  const [watch] = server.watches;
  if (watch === undefined) throw new Error('no watch');
  return watch;
}

async function expectFollowing(): Promise<void> {
  server.store(THINGS).put('proof');
  await waitUntil('the mirror follows', () => mirror.names().includes('proof'));
}

beforeEach(async () => {
  server = await FakeApiServer.start();
  log = [];
  client = new KubernetesClient({
    endpoint: staticEndpoint({ server: server.url, ca: server.serving.certificate }),
    logger: logger(),
    userAgent: 'test',
    requestTimeoutMs: 60_000,
  });
  mirror = new Mirror();
  registry = new Registry();
  stop = new AbortController();
  runs = [];
});

afterEach(async () => {
  stop.abort();
  await Promise.all(runs);
  await client.close();
  await server.stop();
});

describe('what a reflector asks for', () => {
  it('watches with bookmarks, a jittered time-out and the position of its list', async () => {
    server.store(THINGS).put('a');
    reflect({ query: { labelSelector: 'app=x' }, random: () => 0.5 });
    const { query } = (await onlyWatch()).request;
    expect(Object.fromEntries(query)).toEqual({
      watch: 'true',
      allowWatchBookmarks: 'true',
      resourceVersion: '101',
      timeoutSeconds: '360',
      labelSelector: 'app=x',
    });
  });

  it('lists in pages and gives list and watch objects the same form', async () => {
    for (let n = 0; n < 12; n += 1)
      server.store(THINGS).put(`thing-${n}`, { metadata: { creationTimestamp: '2026-01-01T00:00:00Z' } });
    const seen: Raw[] = [];
    reflect({
      pageSize: 5,
      parse: (raw): Parsed<Raw> => {
        seen.push(raw);
        return { ok: true, value: raw };
      },
    });
    await onlyWatch();
    expect(server.seen('list').map((request) => request.query.get('continue'))).toEqual([null, '112:5', '112:10']);
    expect(mirror.calls).toEqual(['replace 12 @112']);
    expect(seen[0]).toMatchObject({
      kind: 'Thing',
      apiVersion: 'v1',
      metadata: { creationTimestamp: '2026-01-01T00:00:00Z' },
    });
  });

  it('delivers a list of 10,000 objects without blocking the event loop for a second', async () => {
    for (let n = 0; n < 10_000; n += 1) server.store(THINGS).put(`thing-${n}`, { spec: { padding: 'x'.repeat(200) } });
    let longest = 0;
    let last = process.cpuUsage();
    // What it computes at a stretch: others may have the processor meanwhile.
    const ticker = setInterval(() => {
      const { user } = process.cpuUsage(last);
      longest = Math.max(longest, user / 1_000);
      last = process.cpuUsage();
    }, 5);
    const reflector = reflect();
    await reflector.synced;
    clearInterval(ticker);
    expect(mirror.objects.size).toBe(10_000);
    expect(longest).toBeLessThan(1_000);
  });

  it('lists in one stream where the server can, and page by page where it refuses', async () => {
    server.store(THINGS).put('a');
    reflect({ listMode: 'Streaming' });
    const watch = await onlyWatch();
    await expectFollowing();
    expect(watch.request.query.get('sendInitialEvents')).toBe('true');
    expect(server.seen('list')).toHaveLength(0);
    expect(mirror.calls).toEqual(['replace 1 @101', 'upsert proof']);
    stop.abort();
    await Promise.all(runs);

    stop = new AbortController();
    server.inject('watch', (_, response) => sendStatus(response, 422, 'Invalid', 'sendInitialEvents is forbidden'));
    const paged = reflect({ listMode: 'Streaming' });
    await paged.synced;
    expect(server.seen('list')).toHaveLength(1);
  });
});

describe('the failure table: no row ends the reflector', () => {
  it('list answers 503: it lists again', async () => {
    server.inject('list', (_, response) => sendStatus(response, 503, 'ServiceUnavailable', 'shutting down'), 3);
    await reflect().synced;
    expect(server.seen('list')).toHaveLength(4);
    expect(await failures('server-error')).toBe(3);
  });

  it('list answers 403 while RBAC caches fill: it lists again', async () => {
    server.inject('list', (_, response) => sendStatus(response, 403, 'Forbidden', 'things is forbidden'), 2);
    await reflect().synced;
    expect(await failures('forbidden')).toBe(2);
  });

  it('list answers 404 because the CRD comes later: it lists again', async () => {
    server.inject('list', (_, response) => sendStatus(response, 404, 'NotFound', 'no such resource'), 2);
    await reflect().synced;
    expect(await failures('not-found')).toBe(2);
  });

  it('list answers with something that is no JSON: it lists again', async () => {
    server.inject('list', (_, response) => response.end('<html>proxy error</html>'));
    await reflect().synced;
    expect(await failures('malformed')).toBe(1);
  });

  it('the pages of a list expire half-way: it lists again', async () => {
    for (let n = 0; n < 4; n += 1) server.store(THINGS).put(`thing-${n}`);
    server.inject('list', (_, response) =>
      sendJson(response, 200, { metadata: { resourceVersion: '104', continue: '50:2' }, items: [] }),
    );
    await reflect({ pageSize: 2 }).synced;
    expect(mirror.objects.size).toBe(4);
    expect(await failures('gone')).toBe(1);
  });

  it.each([403, 429, 500])('watch answers %i: it watches again from the same position', async (status) => {
    server.inject('watch', (_, response) => sendStatus(response, status, 'Refused', 'not now'));
    reflect();
    await onlyWatch();
    await expectFollowing();
    expect(server.seen('watch').map((request) => request.query.get('resourceVersion'))).toEqual(['100', '100']);
    expect(server.seen('list')).toHaveLength(1);
  });

  it('watch answers 429 with Retry-After: it waits that long', async () => {
    server.inject('watch', (_, response) =>
      sendStatus(response, 429, 'TooManyRequests', 'later', { 'retry-after': '1' }),
    );
    const before = performance.now();
    reflect();
    await onlyWatch();
    expect(performance.now() - before).toBeGreaterThan(950);
    expect(await failures('throttled')).toBe(1);
  });

  it('socket destroyed: it watches again from its position and misses nothing', async () => {
    reflect();
    const watch = await onlyWatch();
    server.store(THINGS).put('before');
    await waitUntil('the first change arrives', () => mirror.names().includes('before'));
    watch.destroy();
    server.store(THINGS).put('meanwhile');
    await waitUntil('the change in between arrives', () => mirror.names().includes('meanwhile'));
    expect(server.seen('list')).toHaveLength(1);
    expect(server.seen('watch').at(-1)?.query.get('resourceVersion')).toBe('101');
    expect(await failures('connection')).toBe(1);
  });

  it('clean end: it watches again and lists nothing', async () => {
    reflect();
    const watch = await onlyWatch();
    server.store(THINGS).put('a');
    await waitUntil('the change arrives', () => mirror.names().includes('a'));
    watch.end();
    await waitUntil('a second watch', () => server.seen('watch').length === 2);
    await expectFollowing();
    expect(server.seen('list')).toHaveLength(1);
  });

  it('watch ended at once and empty: counted as a failure and tried again with back-off', async () => {
    server.inject('watch', (_, response) => response.end(), 3);
    reflect();
    await onlyWatch();
    await expectFollowing();
    expect(await failures('short-watch')).toBe(3);
  });

  it('truncated line: the half event is not delivered, and comes whole in the next watch', async () => {
    reflect();
    const watch = await onlyWatch();
    watch.write('{"type":"ADDED","object":{"metadata":{"name":"ha');
    watch.end();
    await waitUntil('a second watch', () => server.seen('watch').length === 2);
    await expectFollowing();
    expect(mirror.names()).toEqual(['proof']);
    expect(await failures('truncated')).toBe(1);
  });

  it('a line that is no event: counted, and watched again', async () => {
    reflect();
    (await onlyWatch()).write('[1, 2]\n');
    await waitUntil('a second watch', () => server.seen('watch').length === 2);
    await expectFollowing();
    expect(await failures('malformed')).toBe(1);
  });

  it('an unknown event type: counted, not delivered, and watched again', async () => {
    reflect();
    (await onlyWatch()).write(
      '{"type":"SURPRISE","object":{"metadata":{"name":"s","uid":"s","resourceVersion":"150"}}}\n',
    );
    await waitUntil('a second watch', () => server.seen('watch').length === 2);
    expect(server.seen('watch').at(-1)?.query.get('resourceVersion')).toBe('100');
    expect(mirror.names()).toEqual([]);
  });

  it('its position was compacted away while it was cut off: it lists again and removes what is gone', async () => {
    server.store(THINGS).put('old');
    reflect();
    const watch = await onlyWatch();
    watch.destroy();
    server.store(THINGS).delete('old');
    server.store(THINGS).put('new');
    server.store(THINGS).compact();
    await waitUntil('the new state arrives', () => mirror.names().join() === 'new');
    expect(mirror.calls).toEqual(['replace 1 @101', 'replace 1 @103']);
  });

  it('410 event: it lists again', async () => {
    reflect();
    (await onlyWatch()).error(410, 'Expired', 'too old resource version: 100 (200)');
    await waitUntil('a second list', () => server.seen('list').length === 2);
    await onlyWatch();
    await expectFollowing();
    expect(await failures('gone')).toBe(1);
  });

  it('410 answer: it lists again', async () => {
    reflect();
    const watch = await onlyWatch();
    server.store(THINGS).put('a');
    server.store(THINGS).put('b');
    await waitUntil('both arrive', () => mirror.objects.size === 2);
    server.inject('watch', (_, response) => sendStatus(response, 410, 'Gone', 'too old'));
    watch.destroy();
    await waitUntil('a second list', () => server.seen('list').length === 2);
    await expectFollowing();
    expect(await failures('gone')).toBe(1);
  });

  it('an ERROR event that is no 410: it watches again, and lists when that does not help', async () => {
    reflect();
    await onlyWatch();
    for (let n = 0; n < 5; n += 1) {
      const watches = server.seen('watch').length;
      (await onlyWatch()).error(500, 'InternalError', 'etcdserver: no leader');
      await waitUntil('another watch', () => server.seen('watch').length > watches);
    }
    await waitUntil('a second list', () => server.seen('list').length === 2);
    await expectFollowing();
    expect(await failures('error-event')).toBe(5);
  });

  it('a silent watch: it is opened again, and what was swallowed arrives', async () => {
    const swallow = Promise.withResolvers<void>();
    server.inject('watch', (_, response) => {
      response.writeHead(200);
      response.flushHeaders();
      response.on('close', () => swallow.resolve());
    });
    reflect({ silenceMs: 1_000 });
    await waitUntil('the deaf watch is open', () => server.seen('watch').length === 1);
    server.store(THINGS).put('unheard');
    await waitUntil('it is heard after all', () => mirror.names().includes('unheard'));
    await swallow.promise;
    expect(await failures('silent')).toBe(1);
  });

  it('a server that never answers the watch: it is opened again', async () => {
    server.inject('watch', () => {});
    reflect({ silenceMs: 1_000 });
    await onlyWatch();
    await expectFollowing();
    expect(await failures('silent')).toBe(1);
  });

  it('bookmarks keep an idle watch open, past the bound of silence', async () => {
    reflect({ silenceMs: 1_500 });
    const watch = await onlyWatch();
    for (let n = 0; n < 8; n += 1) {
      watch.bookmark(200 + n);
      await elapse(300);
    }
    expect(server.seen('watch')).toHaveLength(1);
    watch.end();
    await waitUntil('a second watch', () => server.seen('watch').length === 2);
    expect(server.seen('watch').at(-1)?.query.get('resourceVersion')).toBe('207');
  });

  it('a server whose data went back in time: it lists again', async () => {
    server.store(THINGS).put('a');
    reflect();
    const watch = await onlyWatch();
    watch.write('{"type":"MODIFIED","object":{"metadata":{"name":"a","uid":"uid-1","resourceVersion":"50"}}}\n');
    await waitUntil('a second list', () => server.seen('list').length === 2);
    expect(await failures('went-back')).toBe(1);
  });

  it('the API server goes away and comes back: it goes on without a list', async () => {
    reflect();
    await onlyWatch();
    const { port } = server;
    await server.stop();
    await elapse(200);
    server.store(THINGS).put('meanwhile');
    await server.listen(port);
    await waitUntil('the change arrives', () => mirror.names().includes('meanwhile'));
    expect(server.seen('list')).toHaveLength(1);
    expect(await failures('connection')).toBeGreaterThan(0);
  });

  it('logs trouble once and its end once, not every try', async () => {
    server.inject('list', (_, response) => sendStatus(response, 403, 'Forbidden', 'things is forbidden'), 6);
    reflect();
    await onlyWatch();
    await expectFollowing();
    await waitUntil('the recovery is logged', () => log.some((line) => line.includes('watching again')));
    expect(log.filter((line) => line.includes('a list or watch failed'))).toHaveLength(1);
  });
});

describe('start and stop', () => {
  it('stop during the first list leaves nothing open and opens nothing later', async () => {
    server.inject('list', () => {});
    reflect();
    await waitUntil('the list hangs', () => server.seen('list').length === 1);
    stop.abort();
    await Promise.all(runs);
    await waitUntil('the connection is closed', () => server.openSockets === 0);
    await elapse(100);
    expect(server.seen('watch')).toHaveLength(0);
    expect(mirror.calls).toEqual([]);
  });

  it('stop during a watch closes it', async () => {
    reflect();
    await onlyWatch();
    stop.abort();
    await Promise.all(runs);
    await waitUntil('the watch is closed', () => server.watches.size === 0);
    expect(server.seen('watch')).toHaveLength(1);
  });

  it('run twice is one watch, and run after stop lists again', async () => {
    const reflector = reflect();
    runs.push(reflector.run(stop.signal));
    await onlyWatch();
    await expectFollowing();
    expect(server.seen('watch')).toHaveLength(1);
    stop.abort();
    await Promise.all(runs);
    const second = new AbortController();
    const again = reflector.run(second.signal);
    await waitUntil('a second list', () => server.seen('list').length === 2);
    second.abort();
    await again;
  });

  it('run with an aborted signal asks for nothing', async () => {
    stop.abort();
    reflect();
    await Promise.all(runs);
    expect(server.requests).toHaveLength(0);
  });
});

describe('handlers and invalid objects', () => {
  it('a callback that throws is logged and counted, and the rest goes on', async () => {
    mirror.poison.add('bad').add('replace');
    reflect();
    await onlyWatch();
    server.store(THINGS).put('bad');
    await expectFollowing();
    expect(mirror.names()).toEqual(['proof']);
    expect(log.filter((line) => line.includes('a handler of watched objects failed'))).toHaveLength(2);
    expect(server.seen('watch')).toHaveLength(1);
  });

  it('an async callback that rejects is no unhandled rejection', async () => {
    // oxlint-disable-next-line typescript/no-misused-promises -- TypeScript allows it, so it happens: the case of this test
    const late: () => void = async () => Promise.reject(new Error('late'));
    reflect({
      handler: {
        replace: () => {},
        upsert: late,
        remove: () => {},
      },
    });
    await onlyWatch();
    server.store(THINGS).put('a');
    await waitUntil('it is logged', () => log.some((line) => line.includes('late')));
    expect(server.watches.size).toBe(1);
  });

  it('an object that turns invalid keeps its last valid form, through a relist too, until it is deleted', async () => {
    const refused: string[] = [];
    const store = server.store(THINGS);
    store.put('a', { good: true });
    reflect({
      parse: (raw): Parsed<Raw> =>
        raw['good'] === true ? { ok: true, value: raw } : { ok: false, problems: ['good: must be true'] },
      handler: {
        replace: (items, rv) => mirror.replace(items, rv),
        upsert: (object) => mirror.upsert(object),
        remove: (object) => mirror.remove(object),
        invalid: (_, problems) => void refused.push(...problems),
      },
    });
    const watch = await onlyWatch();
    store.put('a', { good: false });
    await waitUntil('it is reported', () => refused.length === 1);
    expect(mirror.names()).toEqual(['a']);
    watch.error(410, 'Expired');
    await waitUntil('it is reported again by the list', () => refused.length === 2);
    expect(mirror.names()).toEqual(['a']);
    await onlyWatch();
    store.delete('a');
    await waitUntil('it is gone', () => mirror.objects.size === 0);
  });

  it('an object that never was valid is told to be gone, by a watch and by a list', async () => {
    const gone: unknown[] = [];
    const present: number[] = [];
    const store = server.store(THINGS);
    reflect({
      parse: (): Parsed<Raw> => ({ ok: false, problems: ['never'] }),
      handler: {
        replace: (_, __, invalid) => void present.push(invalid.length),
        upsert: () => {},
        remove: () => {},
        removeInvalid: (raw) => void gone.push(raw['metadata']),
      },
    });
    const watch = await onlyWatch();
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
    const reflector = reflect();
    expect(reflector.lastProofMs).toBeUndefined();
    const watch = await onlyWatch();
    await reflector.synced;
    const before = reflector.lastProofMs ?? 0;
    watch.bookmark(300);
    await waitUntil('the bookmark is seen', () => reflector.resourceVersion === '300');
    expect(reflector.lastProofMs).toBeGreaterThan(before);
  });
});
