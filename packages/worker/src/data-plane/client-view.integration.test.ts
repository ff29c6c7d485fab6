import { PassThrough, Readable } from 'node:stream';
import { gzipSync } from 'node:zlib';
import { fnv1a64, slotOf } from '@shard-controller/shared/hashing';
import { createLogger } from '@shard-controller/shared/observability';
import { systemClock } from '@shard-controller/shared/runtime';
import { PATIENCE_MS } from '@shard-controller/shared/testing';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ScriptedApiServer, status } from '../upstream/testing/scripted-api-server.ts';
import { protobufBookmark, protobufFrame, protobufList, protobufObject, readEvents } from '../wire/testing/wire.ts';
import { createDataPlane } from './create.ts';
import type { DataPlane } from './data-plane.ts';

const ACCEPT = { accept: 'application/vnd.kubernetes.protobuf,application/json' };
const PROTOBUF = { 'content-type': 'application/vnd.kubernetes.protobuf' };
const WATCH = { 'content-type': 'application/vnd.kubernetes.protobuf;stream=watch' };
// The top bits of the hash, which are the slot, need some text behind the letter that differs.
const A: string = 'a-0123456789';
const B: string = 'b-0123456789';
const C: string = 'c-0123456789';
const ALL = Array.from({ length: 64 }, (_, slot) => slot);
const slotOfUid = (uid: string): number => slotOf(fnv1a64(uid).high, 64);

let api: ScriptedApiServer;
let plane: DataPlane;
let stop: AbortController;
let running: Promise<void>;
let url: string;
let exporterUrl: string;
let epoch = 0;

function own(owned: readonly number[]): void {
  const slots = ALL.filter((slot) => !owned.includes(slot));
  plane.applyAssignment({
    generation: 1,
    epoch: ++epoch,
    slotCount: 64,
    shardBy: 'uid',
    owned,
    warm: [],
    release: [{ migration: 'm', slots }],
  });
}

beforeEach(async () => {
  api = new ScriptedApiServer();
  for (const uid of [A, B, C]) api.change('ADDED', uid);
  stop = new AbortController();
  url = await new Promise((resolve) => {
    plane = createDataPlane({
      upstream: api,
      logger: createLogger({ name: 'test', level: 'fatal' }),
      clock: systemClock,
      host: '127.0.0.1',
      port: 0,
      clientPort: 0,
      onListening: (port) => {
        exporterUrl = `http://127.0.0.1:${port}`;
      },
      onClientListening: (port) => resolve(`http://127.0.0.1:${port}`),
    });
    running = plane.run(stop.signal);
  });
  own([slotOfUid(A)]);
});

afterEach(async () => {
  stop.abort();
  await running;
});

const get = (path: string, signal = AbortSignal.timeout(PATIENCE_MS)): Promise<Response> =>
  fetch(`${url}${path}`, { headers: ACCEPT, signal });

/** A watch whose events are read as they come. */
class Follower {
  readonly #abort = new AbortController();
  #bytes = Buffer.alloc(0);
  ended = false;
  failed = false;

  static async open(query: string): Promise<Follower> {
    const follower = new Follower();
    const response = await get(`/api/v1/pods?watch=true&${query}`, follower.#abort.signal);
    if (response.status !== 200) throw new Error(`the watch was answered ${response.status}`);
    void follower.#read(response);
    return follower;
  }

  async #read(response: Response): Promise<void> {
    try {
      for await (const chunk of response.body ?? []) this.#bytes = Buffer.concat([this.#bytes, chunk]);
      this.ended = true;
    } catch {
      this.failed = true;
    }
  }

  get said(): string[] {
    return readEvents(this.#bytes).map(({ type, uid, version }) => `${type} ${uid}@${version}`);
  }

  stop(): void {
    this.#abort.abort();
  }
}

const until = (what: () => unknown): Promise<void> => expect.poll(what, { interval: 5 }).toBeTruthy();
const position = async (): Promise<string> => {
  await (await get('/api/v1/pods')).arrayBuffer();
  return String(api.version);
};

describe('a watch', () => {
  test('passes bookmarks only to who asked for them', async () => {
    const from = await position();
    const [plain, marked] = [
      await Follower.open(`resourceVersion=${from}`),
      await Follower.open(`resourceVersion=${from}&allowWatchBookmarks=true`),
    ];
    api.say(protobufBookmark('150'));
    api.change('MODIFIED', A);
    await until(() => plain.said.length === 1 && marked.said.length === 2);
    expect([plain.said, marked.said]).toEqual([[`MODIFIED ${A}@104`], ['BOOKMARK @150', `MODIFIED ${A}@104`]]);
  });

  test('passes an ERROR on and ends in order', async () => {
    const watch = await Follower.open(`resourceVersion=${await position()}`);
    api.say(protobufFrame('ERROR', Buffer.alloc(0), { apiVersion: 'v1', kind: 'Status' }));
    await until(() => watch.ended);
    expect(watch.said).toEqual(['ERROR @']);
  });

  test('KSM #2993: an unknown type of event is neither passed nor dropped: the watch ends', async () => {
    const watch = await Follower.open(`resourceVersion=${await position()}`);
    const object = protobufObject({ uid: A, name: A, namespace: 'ns', version: '180' });
    api.say(Buffer.concat([protobufFrame('TELEPORTED', object), protobufFrame('MODIFIED', object)]));
    await until(() => watch.ended);
    expect(watch.said).toEqual([]);
  });

  test('kubernetes #113254: a watch that its client stops is stopped upstream, also in the middle of a move', async () => {
    const from = await position();
    const watches = await Promise.all(Array.from({ length: 20 }, () => Follower.open(`resourceVersion=${from}`)));
    await until(() => api.watches === 20);
    api.next((_, query) =>
      query.get('limit') === '500' ? { status: 200, headers: PROTOBUF, body: new PassThrough() } : undefined,
    );
    own(ALL);
    for (const watch of watches) watch.stop();
    await until(() => api.watches === 0);
    expect(api.watches).toBe(0);
  });

  test('ends in order when the API server ends it, and breaks off when the connection breaks', async () => {
    const from = await position();
    const first = await Follower.open(`resourceVersion=${from}`);
    api.cut();
    await until(() => first.ended);
    const second = await Follower.open(`resourceVersion=${from}`);
    api.cut(new Error('reset'));
    await until(() => second.failed);
    expect([first.failed, second.ended]).toEqual([false, false]);
  });

  test('is read through gzip of several members, cut anywhere', async () => {
    const from = await position();
    const members = ['MODIFIED', 'DELETED'].map((type) =>
      gzipSync(protobufFrame(type, protobufObject({ uid: A, name: A, namespace: 'ns', version: '200' }))),
    );
    const bytes = Buffer.concat(members);
    const body = Readable.from(Array.from(bytes, (_, i) => bytes.subarray(i, i + 1)));
    api.next((_, query) =>
      query.get('watch') === 'true'
        ? { status: 200, headers: { ...WATCH, 'content-encoding': 'gzip' }, body }
        : undefined,
    );
    const watch = await Follower.open(`resourceVersion=${from}`);
    await until(() => watch.ended);
    expect(watch.said).toEqual([`MODIFIED ${A}@200`, `DELETED ${A}@200`]);
  });
});

describe('a list', () => {
  test('KSM: 410 in the middle of paging stays 410, and never looks like the end of the list', async () => {
    api.next((_, query) => (query.has('continue') ? status(410, 'Expired') : undefined));
    const response = await get('/api/v1/pods?limit=1&continue=old');
    expect([response.status, await response.json()]).toMatchObject([410, { kind: 'Status', reason: 'Expired' }]);
  });

  test('that the API server breaks off is no answer at all', async () => {
    const whole = protobufList('7', [protobufObject({ uid: A, name: A, version: '7', ballast: 1_000 })]);
    async function* half(): AsyncGenerator<Buffer> {
      yield whole.subarray(0, 500);
      await Promise.resolve();
      throw new Error('reset');
    }
    api.next((_, query) =>
      query.get('resourceVersion') === '0'
        ? { status: 200, headers: PROTOBUF, body: Readable.from(half()) }
        : undefined,
    );
    expect((await get('/api/v1/pods?resourceVersion=0')).status).toBe(500);
    api.next((_, query) =>
      query.get('resourceVersion') === '0'
        ? { status: 200, headers: PROTOBUF, body: Readable.from([whole.subarray(0, 500)]) }
        : undefined,
    );
    expect((await get('/api/v1/pods?resourceVersion=0')).status).toBe(500);
  });
});

describe('a move while events come', () => {
  /** Runs `meanwhile` when the move has read the collection and before it has been told so. */
  async function moveAround(follower: Follower, owned: readonly number[], meanwhile: () => void): Promise<void> {
    const body = new PassThrough();
    const asked = Promise.withResolvers<Buffer>();
    api.next((_, query) => {
      if (query.get('limit') !== '500') return undefined;
      const objects = [...api.objects].map(([uid, version]) =>
        protobufObject({ uid, name: uid, namespace: 'ns', version: String(version) }),
      );
      asked.resolve(protobufList(String(api.version), objects));
      return { status: 200, headers: PROTOBUF, body };
    });
    own(owned);
    const list = await asked.promise;
    meanwhile();
    body.end(list);
    api.change('MODIFIED', A);
    const last = `MODIFIED ${A}@${api.version}`;
    await until(() => follower.said.includes(last));
  }

  const WAYS: readonly (readonly [string, () => void, () => void])[] = [
    ['nothing else', () => {}, () => {}],
    ['an object changes before the list', () => api.change('MODIFIED', B), () => {}],
    ['an object changes behind the list', () => {}, () => api.change('MODIFIED', B)],
    ['an object goes before the list', () => api.change('DELETED', B), () => {}],
    ['an object goes behind the list', () => {}, () => api.change('DELETED', B)],
    [
      'an object comes back before the list',
      () => {
        api.change('DELETED', B);
        api.change('ADDED', B);
      },
      () => {},
    ],
    [
      'an object comes back behind the list',
      () => {},
      () => {
        api.change('DELETED', B);
        api.change('ADDED', B);
      },
    ],
    ['an object goes before and comes behind the list', () => api.change('DELETED', B), () => api.change('ADDED', B)],
  ];

  test.each(WAYS)('%s: the client ends with exactly what is shown', async (_name, before, behind) => {
    const follower = await Follower.open(`resourceVersion=${await position()}&allowWatchBookmarks=true`);
    const store = new Map([[A, '101']]);
    const both = [slotOfUid(A), slotOfUid(B)];
    // In and out again, with the same history around each.
    for (const owned of [both, [slotOfUid(A)]]) {
      if (!api.objects.has(B)) api.change('ADDED', B);
      // Held back upstream: the stream brings it only after the move has begun.
      const watch = api.hold();
      before();
      await moveAround(follower, owned, () => {
        behind();
        watch.release();
      });
      for (const text of follower.said) {
        const [type = '', uid = '', version = ''] = text.split(/[ @]/);
        if (type === 'DELETED') store.delete(uid);
        else if (type !== 'BOOKMARK') store.set(uid, version);
      }
      const shown = [...api.objects].filter(([uid]) => owned.includes(slotOfUid(uid)));
      expect(Object.fromEntries(store)).toEqual(
        Object.fromEntries(shown.map(([uid, version]) => [uid, String(version)])),
      );
    }
    follower.stop();
  });

  test('a move that cannot be finished ends the watch, and its position is worth nothing afterwards', async () => {
    const from = await position();
    const follower = await Follower.open(`resourceVersion=${from}`);
    await until(() => api.watches === 1);
    api.next((_, query) => (query.get('limit') === '500' ? status(500, 'InternalError') : undefined));
    own(ALL);
    await until(() => follower.failed || follower.ended);
    expect((await get(`/api/v1/pods?watch=true&resourceVersion=${Number(from) - 1}`)).status).toBe(410);
  });
});

test('the exporter’s listener answers tables, metadata and odd forms of reading the same way', async () => {
  api.next((request) =>
    String(request.headers?.['accept']).includes('as=Table') &&
    request.query !== undefined &&
    !('limit' in request.query)
      ? {
          status: 200,
          headers: { 'content-type': 'application/json' },
          body: Readable.from([
            Buffer.from(
              `{"kind":"Table","apiVersion":"meta.k8s.io/v1","metadata":{"resourceVersion":"1"},"rows":[{"cells":["a"],"object":{"metadata":{"uid":"${A}"}}},{"cells":["b"],"object":{"metadata":{"uid":"${B}"}}}]}`,
            ),
          ]),
        }
      : undefined,
  );
  const response = await fetch(`${exporterUrl}/api/v1/pods`, {
    headers: { accept: 'application/json;as=Table;v=v1;g=meta.k8s.io' },
  });
  expect(await response.json()).toMatchObject({ rows: [{ cells: ['a'] }] });
});

test('an aggregated API that cannot be watched and has no order of versions is filtered all the same, on every listener', async () => {
  const list = {
    kind: 'PodMetricsList',
    metadata: { resourceVersion: 'odd' },
    items: [{ metadata: { uid: A } }, { metadata: { uid: B } }],
  };
  const answer = (value: unknown) => ({
    status: 200,
    headers: { 'content-type': 'application/json' },
    body: Readable.from([Buffer.from(JSON.stringify(value))]),
  });
  api.next(({ path }) =>
    path === '/apis/metrics.k8s.io/v1'
      ? answer({ resources: [{ name: 'pods', kind: 'PodMetrics', verbs: ['get', 'list'] }] })
      : undefined,
  );
  for (const base of [exporterUrl, url]) {
    // The position and the list itself; the exporter's listener and the other ask the same.
    for (let i = 0; i < 2; i++) {
      api.next(({ path }) => (path === '/apis/metrics.k8s.io/v1/pods' ? answer(list) : undefined));
    }
    const response = await fetch(`${base}/apis/metrics.k8s.io/v1/pods`);
    expect(await response.json()).toEqual({ ...list, items: [{ metadata: { uid: A } }] });
  }
});
