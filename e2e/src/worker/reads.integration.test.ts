import { request as httpRequest } from 'node:http';
import { connect } from 'node:net';
import { createGunzip } from 'node:zlib';
import type { KubernetesClient } from '@shard-controller/shared/kubernetes';
import { createLogger } from '@shard-controller/shared/observability';
import { Agent, fetch as undiciFetch } from 'undici';
import { PATIENCE_MS, waitUntil } from '@shard-controller/shared/testing';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startApiServer, type StandaloneApiServer } from '../cluster/standalone-api-server.ts';
import { clientOf, slots } from './exporter-rig.ts';
import { SLOTS, SlotListener } from './slot-listener.ts';

const PODS = 120;
const UID = /[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/g;

const TABLE =
  'application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json';
const META = 'as=PartialObjectMetadataList;g=meta.k8s.io;v=v1';
const FORMS = {
  json: 'application/json',
  protobuf: 'application/vnd.kubernetes.protobuf,application/json',
  table: TABLE,
  'metadata as JSON': `application/json;${META}`,
  'metadata as protobuf': `application/vnd.kubernetes.protobuf;${META},application/json;${META}`,
  anything: '*/*',
} as const;

let api: StandaloneApiServer;
let client: KubernetesClient;
let all: SlotListener;
let left: SlotListener;
let right: SlotListener;
let direct: Agent;
/** Every uid of the workload: others (Leases, Events) come and go by themselves. */
const known = new Set<string>();

interface Answer {
  readonly status: number;
  readonly contentType: string;
  readonly body: Buffer;
}

async function ask(base: string, path: string, accept: string): Promise<Answer> {
  const isDirect = base === api.server;
  const response = await undiciFetch(`${base}${path}`, {
    headers: { accept, ...(isDirect ? { authorization: `Bearer ${api.adminToken}` } : {}) },
    signal: AbortSignal.timeout(PATIENCE_MS),
    ...(isDirect ? { dispatcher: direct } : {}),
  });
  const body = Buffer.from(await response.arrayBuffer());
  return { status: response.status, contentType: response.headers.get('content-type') ?? '', body };
}

/** uids of the workload in a body, whatever its encoding: they are plain text in each. */
function uidsIn(body: Buffer): string[] {
  const found = body.toString('latin1').match(UID) ?? [];
  return [...new Set(found.filter((uid) => known.has(uid)))].toSorted();
}

function parsed(body: Buffer): Record<string, unknown> {
  return JSON.parse(body.toString('utf8')) as Record<string, unknown>;
}

/** A list without what changes by itself between two requests: its position, and ages in a table. */
function stable(body: Buffer): unknown {
  const text = body.toString('utf8').replaceAll(/"\d+m?(\d+)?s"/g, '"age"');
  const { metadata, ...rest } = parsed(Buffer.from(text));
  const { resourceVersion: _, continue: __, ...others } = metadata as Record<string, unknown>;
  return { ...rest, metadata: others };
}

async function create(path: string, object: Record<string, unknown>): Promise<string> {
  const made = await client.create<{ metadata: { uid: string } }>(path, object);
  known.add(made.metadata.uid);
  return made.metadata.uid;
}

const pod = (name: string, labels: Record<string, string> = {}): Record<string, unknown> => ({
  metadata: { name, labels, annotations: { text: '","items":[{"metadata":{"uid":"x"}}]}' } },
  spec: { nodeName: 'n1', containers: [{ name: 'c', image: 'i' }], terminationGracePeriodSeconds: 0 },
});

async function makeDefinition(): Promise<void> {
  await client.create('/apis/apiextensions.k8s.io/v1/customresourcedefinitions', {
    metadata: { name: 'gears.reads.example.com' },
    spec: {
      group: 'reads.example.com',
      scope: 'Namespaced',
      names: { plural: 'gears', singular: 'gear', kind: 'Gear' },
      versions: [
        {
          name: 'v1',
          served: true,
          storage: true,
          schema: { openAPIV3Schema: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true } },
        },
      ],
    },
  });
}

beforeAll(async () => {
  api = await startApiServer();
  direct = new Agent({ connect: { ca: api.ca, servername: 'kubernetes' } });
  client = clientOf(api, createLogger({ name: 'setup', level: 'warn' }), 'setup');
  await makeDefinition();
  await client.create('/api/v1/namespaces', { metadata: { name: 'other' } });
  const makes: Promise<string>[] = [];
  for (let i = 0; i < PODS; i++) {
    const namespace = i % 3 === 0 ? 'other' : 'default';
    makes.push(create(`/api/v1/namespaces/${namespace}/pods`, pod(`p-${i}`, { half: i % 2 === 0 ? 'even' : 'odd' })));
  }
  for (let i = 0; i < 30; i++) {
    makes.push(
      create('/api/v1/namespaces/default/configmaps', { metadata: { name: `c-${i}` }, data: { k: 'ü"\\{[' } }),
    );
    makes.push(create('/apis/rbac.authorization.k8s.io/v1/clusterroles', { metadata: { name: `a:role-${i}` } }));
  }
  const served = async (): Promise<boolean> =>
    client.list('/apis/reads.example.com/v1/gears').then(
      () => true,
      () => false,
    );
  await waitUntil('the custom kind is served', served);
  for (let i = 0; i < 30; i++) {
    makes.push(
      create('/apis/reads.example.com/v1/namespaces/default/gears', {
        apiVersion: 'reads.example.com/v1',
        kind: 'Gear',
        metadata: { name: `g-${i}` },
        rows: [1],
        big: 12345678901234567890n.toString(),
      }),
    );
  }
  await Promise.all(makes);
  all = await SlotListener.start(api, slots(0, SLOTS));
  left = await SlotListener.start(api, slots(0, 96));
  right = await SlotListener.start(api, slots(96, SLOTS));
});

afterAll(async () => {
  await Promise.all([all, left, right].map((listener) => listener.stop()));
  await direct.close();
  await client.close();
  await api.stop();
});

const COLLECTIONS = [
  '/api/v1/pods',
  '/api/v1/namespaces/other/pods',
  '/api/v1/namespaces/default/configmaps',
  '/apis/rbac.authorization.k8s.io/v1/clusterroles',
  '/apis/reads.example.com/v1/gears',
];

describe.each(Object.entries(FORMS))('a list as %s', (_form, accept) => {
  test.each(COLLECTIONS)('%s is the API server’s own, cut to the slots', async (path) => {
    const [reference, whole, one, two] = await Promise.all(
      [api.server, all.url, left.url, right.url].map((base) => ask(base, path, accept)),
    );
    if (reference === undefined || whole === undefined || one === undefined || two === undefined) return;
    expect([whole.status, whole.contentType]).toEqual([reference.status, reference.contentType]);
    const expected = uidsIn(reference.body);
    expect(expected.length).toBeGreaterThanOrEqual(30);
    expect(uidsIn(whole.body)).toEqual(expected);
    const parts = [uidsIn(one.body), uidsIn(two.body)];
    expect(parts.flat().toSorted()).toEqual(expected);
    expect(Math.min(...parts.map((part) => part.length))).toBeGreaterThan(0);
    const comparable = (body: Buffer): unknown => (reference.contentType.includes('json') ? stable(body) : body.length);
    expect(comparable(whole.body)).toEqual(comparable(reference.body));
  });
});

describe('every form of resourceVersion, limit and selector means what it means to the API server', () => {
  const QUERIES = [
    'resourceVersion=0',
    'resourceVersion=0&resourceVersionMatch=NotOlderThan',
    'resourceVersion=1',
    'resourceVersion=RV',
    'resourceVersion=RV&resourceVersionMatch=NotOlderThan',
    'resourceVersion=RV&resourceVersionMatch=Exact',
    'resourceVersion=RV&resourceVersionMatch=Exact&limit=1000',
    'resourceVersion=RV&limit=1000',
    'labelSelector=half%3Deven',
    'labelSelector=half+notin+(even)',
    'fieldSelector=metadata.name%3Dp-7',
    'fieldSelector=spec.nodeName%3Dn1&limit=1000',
    'pretty=true',
    'watch=false&watch=true',
    'watch=0',
    'limit=0',
    'timeoutSeconds=5',
    'unknownParameter=1&allowWatchBookmarks=true',
    // What is refused has to be refused in the same words.
    'resourceVersionMatch=Exact',
    'resourceVersionMatch=NotOlderThan',
    'resourceVersion=0&resourceVersionMatch=Exact',
    'resourceVersion=RV&resourceVersionMatch=Sometimes',
    'resourceVersion=abc',
    'resourceVersion=-1',
    'resourceVersion=01',
    'resourceVersion=99999999999999999999999',
    'sendInitialEvents=true',
    'limit=abc',
    'continue=abc',
    'continue=abc&resourceVersion=RV&resourceVersionMatch=Exact',
    'fieldSelector=metadata.nothing%3D1',
    'labelSelector=%21%21',
    'watch=true&resourceVersionMatch=NotOlderThan&resourceVersion=RV',
    'watch=true&sendInitialEvents=true',
    'watch=true&sendInitialEvents=false',
    'watch=true&sendInitialEvents=true&resourceVersionMatch=Exact&resourceVersion=RV',
    'watch&sendInitialEvents=1',
    'watch=true&resourceVersion=abc',
  ];

  test.each(QUERIES)('%s', async (query) => {
    const { metadata } = await client.get<{ metadata: { resourceVersion: string } }>('/api/v1/pods?limit=1');
    const path = `/api/v1/pods?${query.replace('RV', metadata.resourceVersion)}`;
    const [reference, whole] = await Promise.all([
      ask(api.server, path, 'application/json'),
      ask(all.url, path, 'application/json'),
    ]);
    expect(whole.status).toBe(reference.status);
    const comparable = reference.status === 200 ? stable : parsed;
    expect(comparable(whole.body)).toEqual(comparable(reference.body));
    const parts = await Promise.all([left, right].map(({ url }) => ask(url, path, FORMS.protobuf)));
    expect(parts.flatMap(({ body }) => uidsIn(body)).toSorted()).toEqual(uidsIn(reference.body));
    expect(parts.map(({ status }) => status)).toEqual([reference.status, reference.status]);
  });
});

/** All pages of a list. */
async function pages(url: string, path: string, limit: number): Promise<Record<string, unknown>[]> {
  const found: Record<string, unknown>[] = [];
  let token = '';
  do {
    const mark = token === '' ? '' : `&continue=${encodeURIComponent(token)}`;
    const answer = await ask(url, `${path}?limit=${limit}${mark}`, 'application/json');
    expect(answer.status).toBe(200);
    const page = parsed(answer.body);
    found.push(page);
    token = ((page['metadata'] as Record<string, unknown>)['continue'] as string | undefined) ?? '';
  } while (token !== '');
  return found;
}

const items = (page: Record<string, unknown>): { metadata: { uid: string } }[] =>
  page['items'] as { metadata: { uid: string } }[];

test('KSM #3065: a paged list keeps its continue token, and how many remain is right or absent', async () => {
  for (const url of [left.url, right.url]) {
    for (const page of await pages(url, '/api/v1/pods', 25))
      expect(page['metadata']).not.toHaveProperty('remainingItemCount');
  }
  const whole = await pages(all.url, '/api/v1/pods', 25);
  expect(whole[0]).toMatchObject({ metadata: { remainingItemCount: PODS - 25 } });
  const parts = [await pages(left.url, '/api/v1/pods', 25), await pages(right.url, '/api/v1/pods', 25)];
  const seen = parts
    .flat()
    .flatMap(items)
    .map(({ metadata }) => metadata.uid);
  expect(seen.toSorted()).toEqual(
    whole
      .flatMap(items)
      .map(({ metadata }) => metadata.uid)
      .toSorted(),
  );
});

test('KSM #1402: a list keeps its resourceVersion, on every page the same', async () => {
  const found = await pages(left.url, '/api/v1/pods', 25);
  const versions = new Set(found.map(({ metadata }) => (metadata as Record<string, unknown>)['resourceVersion']));
  expect(versions.size).toBe(1);
  expect([...versions][0]).toMatch(/^[1-9][0-9]*$/);
});

/** A watch, as JSON events; stop it by ending the test's signal. */
class Watch {
  readonly events: { type: string; object: Record<string, unknown> }[] = [];
  readonly #stop = new AbortController();
  ended = false;
  status = 0;

  static async open(url: string, path: string, accept = 'application/json', headers = {}): Promise<Watch> {
    const watch = new Watch();
    const response = await undiciFetch(`${url}${path}`, {
      headers: { accept, 'accept-encoding': 'identity', ...headers },
      signal: watch.#stop.signal,
    });
    watch.status = response.status;
    void watch.#read(response).catch(() => {
      watch.ended = true;
    });
    return watch;
  }

  async #read(response: Awaited<ReturnType<typeof undiciFetch>>): Promise<void> {
    let text = '';
    const decoder = new TextDecoder();
    for await (const chunk of response.body ?? []) {
      text += decoder.decode(chunk as Uint8Array, { stream: true });
      const lines = text.split('\n');
      text = lines.pop() ?? '';
      for (const line of lines) this.events.push(JSON.parse(line) as Watch['events'][number]);
    }
    this.ended = true;
  }

  /** `ADDED name`, in order, of the pods of one name prefix. */
  said(prefix: string): string[] {
    return this.events.flatMap(({ type, object }) => {
      const rows = object['rows'] as { object: { metadata: { name: string } } }[] | undefined;
      const metadata = (rows === undefined ? object['metadata'] : rows[0]?.object.metadata) as { name?: string };
      return metadata.name?.startsWith(prefix) === true ? [`${type} ${metadata.name}`] : [];
    });
  }

  stop(): void {
    this.#stop.abort();
  }
}

const until = (what: () => unknown): Promise<void> => expect.poll(what).toBeTruthy();

describe.each([
  ['objects', 'application/json'],
  ['rows of a table', TABLE],
  ['metadata', 'application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1'],
])('watches of %s', (name, accept) => {
  test('together bring every change once, from where the list was', async () => {
    const prefix = `w-${name.split(' ')[0]}`;
    const { body } = await ask(left.url, '/api/v1/configmaps?limit=1', 'application/json');
    const { resourceVersion } = parsed(body)['metadata'] as { resourceVersion: string };
    await ask(right.url, '/api/v1/configmaps?limit=1', 'application/json');
    const path = `/api/v1/configmaps?watch=true&allowWatchBookmarks=true&resourceVersion=${resourceVersion}`;
    const watches = await Promise.all([left, right, all].map(({ url }) => Watch.open(url, path, accept)));
    const names = Array.from({ length: 12 }, (_, i) => `${prefix}-${i}`);
    for (const each of names) await create('/api/v1/namespaces/default/configmaps', { metadata: { name: each } });
    for (const each of names) {
      await client.patch(`/api/v1/namespaces/default/configmaps/${each}`, { metadata: { labels: { changed: 'yes' } } });
      await client.delete(`/api/v1/namespaces/default/configmaps/${each}`);
    }
    const [one, two, whole] = watches as [Watch, Watch, Watch];
    const expected = names.flatMap((each) => [`ADDED ${each}`, `DELETED ${each}`, `MODIFIED ${each}`]).toSorted();
    await until(() => whole.said(prefix).length >= expected.length);
    await until(() => one.said(prefix).length + two.said(prefix).length >= expected.length);
    expect(whole.said(prefix).toSorted()).toEqual(expected);
    expect([...one.said(prefix), ...two.said(prefix)].toSorted()).toEqual(expected);
    expect(one.said(prefix).length).toBeGreaterThan(0);
    for (const watch of watches) watch.stop();
  });
});

test.each(['', 'resourceVersion=0'])('a watch from %j brings what there is, then the changes', async (query) => {
  const watches = await Promise.all(
    [left, right].map(({ url }) => Watch.open(url, `/api/v1/namespaces/default/configmaps?watch&${query}`)),
  );
  await until(() => watches.reduce((count, watch) => count + watch.said('c-').length, 0) >= 30);
  const names = watches.flatMap((watch) => watch.said('c-'));
  expect(names.toSorted()).toEqual(Array.from({ length: 30 }, (_, i) => `ADDED c-${i}`).toSorted());
  for (const watch of watches) watch.stop();
});

test('KSM #2974: the bookmark that ends the initial events reaches the client, last', async () => {
  const query = 'watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true';
  const watch = await Watch.open(left.url, `/api/v1/namespaces/default/configmaps?${query}`);
  await until(() => watch.events.at(-1)?.type === 'BOOKMARK');
  const last = watch.events.at(-1)?.object['metadata'] as Record<string, Record<string, string>>;
  expect(last['annotations']).toEqual({ 'k8s.io/initial-events-end': 'true' });
  const list = await ask(left.url, '/api/v1/namespaces/default/configmaps', 'application/json');
  expect(watch.events.length - 1).toBe(items(parsed(list.body)).length);
  watch.stop();
});

test('a watch whose time is over ends in order', async () => {
  const watch = await Watch.open(left.url, '/api/v1/pods?watch=true&timeoutSeconds=1');
  await until(() => watch.ended);
  expect(watch.status).toBe(200);
});

test.each([
  ['objects', 'application/json'],
  ['rows', TABLE],
])('a move brings and takes %s of open watches, and list and watch agree afterwards', async (_name, accept) => {
  const mover = await SlotListener.start(api, slots(0, 64));
  const first = await ask(mover.url, '/api/v1/pods', 'application/json');
  const { resourceVersion } = parsed(first.body)['metadata'] as { resourceVersion: string };
  const held = new Set(items(parsed(first.body)).map(({ metadata }) => metadata.uid));
  const watch = await Watch.open(mover.url, `/api/v1/pods?watch=true&resourceVersion=${resourceVersion}`, accept);
  const store = (): string[] => {
    const uids = new Set(held);
    for (const { type, object } of watch.events) {
      const rows = object['rows'] as { object: { metadata: { uid: string } } }[] | undefined;
      const metadata = rows === undefined ? object['metadata'] : rows[0]?.object.metadata;
      const { uid } = metadata as { uid: string };
      if (type === 'DELETED') uids.delete(uid);
      else uids.add(uid);
    }
    return [...uids].toSorted();
  };
  const listed = async (): Promise<string[]> => uidsIn((await ask(mover.url, '/api/v1/pods', FORMS.protobuf)).body);
  for (const owned of [slots(32, 160), slots(0, 8), [], slots(0, SLOTS), slots(100, 200)]) {
    mover.own(owned);
    const expected = await listed();
    await expect.poll(store, { interval: 20 }).toEqual(expected);
  }
  // Who comes with a position from before the moves is told apart from who listed since.
  const late = await Watch.open(mover.url, `/api/v1/pods?watch=true&resourceVersion=${resourceVersion}`);
  expect(late.status).toBe(200);
  const expected = await listed();
  await expect
    .poll(() => {
      const uids = new Set(held);
      for (const { type, object } of late.events) {
        const { uid } = object['metadata'] as { uid: string };
        if (type === 'DELETED') uids.delete(uid);
        else uids.add(uid);
      }
      return [...uids].toSorted();
    })
    .toEqual(expected);
  for (const each of [watch, late]) each.stop();
  await mover.stop();
});

test('a resourceVersion from before this worker is 410 Expired, which makes clients list again', async () => {
  const fresh = await SlotListener.start(api, slots(0, 64));
  const answer = await ask(fresh.url, '/api/v1/pods?watch=true&resourceVersion=5', 'application/json');
  expect([answer.status, parsed(answer.body)]).toMatchObject([410, { kind: 'Status', reason: 'Expired' }]);
  await fresh.stop();
});

test('single objects: found when they are of the slots, in every form', async () => {
  const path = '/api/v1/namespaces/default/configmaps/c-3';
  const reference = await ask(api.server, path, 'application/json');
  for (const accept of [
    FORMS.json,
    FORMS.protobuf,
    TABLE,
    'application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1',
  ]) {
    const answers = await Promise.all([left, right].map(({ url }) => ask(url, path, accept)));
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200, 404]));
    const found = answers.find(({ status }) => status === 200);
    expect(uidsIn(found?.body ?? Buffer.alloc(0))).toEqual(uidsIn(reference.body));
    const missing = answers.find(({ status }) => status === 404);
    expect(parsed(missing?.body ?? Buffer.alloc(0))).toMatchObject({ kind: 'Status', reason: 'NotFound' });
  }
  const role = await ask(all.url, '/apis/rbac.authorization.k8s.io/v1/clusterroles/a%3Arole-1', 'application/json');
  expect(role.status).toBe(200);
});

test('includeObject=None is honoured, though the uid is needed to tell the shards apart', async () => {
  const path = '/api/v1/pods?includeObject=None';
  const reference = parsed((await ask(api.server, path, TABLE)).body);
  const parts = await Promise.all([left, right].map(async ({ url }) => parsed((await ask(url, path, TABLE)).body)));
  const rows = (table: Record<string, unknown>): string[] =>
    (table['rows'] as { cells: unknown[]; object?: unknown }[]).map((row) => {
      expect(row.object ?? null).toBeNull();
      return String(row.cells[0]);
    });
  expect(parts.flatMap(rows).toSorted()).toEqual(rows(reference).toSorted());
});

test('a first event of a watch carries the columns, whoever’s object the API server said them with', async () => {
  const watches = await Promise.all([left, right].map(({ url }) => Watch.open(url, '/api/v1/pods?watch=true', TABLE)));
  await until(() => watches.every(({ events }) => events.length > 3));
  for (const { events } of watches) {
    expect(events[0]?.object['columnDefinitions']).toBeInstanceOf(Array);
    expect(events[1]?.object['columnDefinitions'] ?? null).toBeNull();
  }
  for (const watch of watches) watch.stop();
});

describe('gzip', () => {
  test('a large list is packed for who takes it', async () => {
    const response = await undiciFetch(`${all.url}/api/v1/pods?pretty=true`, {
      headers: { 'accept-encoding': 'gzip' },
    });
    expect(response.headers.get('content-encoding')).toBe('gzip');
    expect(uidsIn(Buffer.from(await response.arrayBuffer())).length).toBe(
      uidsIn((await ask(api.server, '/api/v1/pods', 'application/json')).body).length,
    );
  });

  test('a packed watch delays nothing', async () => {
    const text = await new Promise<string>((resolve, reject) => {
      const request = httpRequest(
        `${all.url}/api/v1/namespaces/default/configmaps?watch=true&fieldSelector=metadata.name%3Dc-1`,
        { headers: { 'accept-encoding': 'gzip' } },
        (response) => {
          expect(response.headers['content-encoding']).toBe('gzip');
          // One event is all there is: it must be readable while the watch stays open.
          response.pipe(createGunzip()).once('data', (bytes: Buffer) => {
            resolve(bytes.toString('utf8'));
            request.destroy();
          });
        },
      );
      request.on('error', reject).end();
    });
    expect(text).toContain('"ADDED"');
  });
});

describe('nothing but reads gets through', () => {
  const WRITES = ['POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'HEAD'];
  test.each(WRITES)('%s is 405', async (method) => {
    const response = await undiciFetch(`${all.url}/api/v1/namespaces/default/pods?labelSelector=half`, { method });
    expect([response.status, response.headers.get('allow')]).toEqual([405, 'GET']);
    if (method === 'HEAD') return;
    expect(await response.json()).toMatchObject({ kind: 'Status', reason: 'MethodNotAllowed' });
  });

  test.each([
    '/api/v1/namespaces/default/pods/p-1/log',
    '/api/v1/namespaces/default/pods/p-1/exec?command=id',
    '/api/v1/namespaces/default/pods/p-1/attach',
    '/api/v1/namespaces/default/pods/p-1/portforward',
    '/api/v1/namespaces/default/pods/p-1/status',
    '/apis/apps/v1/namespaces/default/deployments/d/scale',
    '/api/v1/namespaces/default/services/s/proxy/x/y',
    '/api/v1/nodes/n1/proxy/metrics',
    '/api/v1/namespaces/default/status',
    '/api/v1/watch/pods',
    '/api/v1/watch/namespaces/default/pods',
    '/api/v1/proxy/nodes/n1',
    '/metrics',
    '/debug/pprof/heap',
    '/logs/kube-apiserver.log',
    '/configz',
    '/.well-known/openid-configuration',
    '/',
  ])('GET %s is 403', async (path) => {
    const answer = await ask(all.url, path, 'application/json');
    expect([answer.status, parsed(answer.body)]).toMatchObject([403, { kind: 'Status', reason: 'Forbidden' }]);
  });

  /** A request exactly as written. */
  async function raw(head: string): Promise<string> {
    const { hostname, port } = new URL(all.url);
    return new Promise((resolve, reject) => {
      const socket = connect(Number(port), hostname, () => socket.write(head));
      let text = '';
      socket.on('data', (bytes) => {
        text += bytes.toString('latin1');
      });
      socket.on('close', () => resolve(text));
      socket.on('error', reject);
    });
  }

  test.each([
    'GET //api/v1/pods',
    'GET /api//v1/pods',
    'GET /api/v1/pods/../secrets',
    'GET /api/v1/pods/%2e%2e/secrets',
    'GET /api/v1/pods/%2E',
    'GET /api/v1/namespaces/default/pods/p-1%2flog',
    'GET /api/v1/namespaces/default/pods/p-1%2Fexec',
    'GET /api/v1/namespaces/default%5cx/pods',
    'GET /api/v1/pods/a%252fb',
    'GET /api/v1/pods%00',
    'GET /api/v1/pods/%zz',
    'GET http://127.0.0.1/api/v1/pods',
    'GET https://kubernetes.default/api/v1/secrets',
    'OPTIONS *',
  ])('%s is 400', async (line) => {
    expect(await raw(`${line} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`)).toMatch(/^HTTP\/1.1 400 /);
  });

  test('headers that ask for another method, another user or another protocol change nothing', async () => {
    const answer = await raw(
      'GET /api/v1/namespaces/default/configmaps/c-1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n' +
        'X-HTTP-Method-Override: DELETE\r\nX-Method-Override: DELETE\r\nImpersonate-User: nobody\r\n' +
        'Authorization: Bearer wrong\r\nX-Remote-User: nobody\r\n\r\n',
    );
    expect(answer).toMatch(/^HTTP\/1.1 200 /);
    expect((await ask(api.server, '/api/v1/namespaces/default/configmaps/c-1', 'application/json')).status).toBe(200);
    const upgrade = await raw(
      'GET /api/v1/namespaces/default/pods/p-1/exec?command=id HTTP/1.1\r\nHost: x\r\n' +
        'Connection: Upgrade, close\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: eA==\r\n\r\n',
    );
    expect(upgrade).toMatch(/^HTTP\/1.1 403 /);
    expect(await raw('CONNECT 127.0.0.1:443 HTTP/1.1\r\nHost: x\r\n\r\n')).not.toMatch(/^HTTP\/1.1 2/);
  });

  test('headers and addresses of absurd length are refused', async () => {
    const long = 'a'.repeat(100_000);
    expect(await raw(`GET /api/v1/pods?labelSelector=${long} HTTP/1.1\r\nHost: x\r\n\r\n`)).toMatch(/^HTTP\/1.1 431 /);
    expect(await raw(`GET /version HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX: ${long}\r\n\r\n`)).toMatch(
      /^HTTP\/1.1 431 /,
    );
  });

  test.each(['application/yaml', 'application/cbor', 'text/plain', 'application/json;as=Evil;g=x;v=y'])(
    'objects as %s, which cannot be filtered, are 406',
    async (accept) => {
      for (const path of ['/api/v1/pods', '/api/v1/pods?watch=true', '/api/v1/namespaces/default/configmaps/c-1']) {
        const answer = await ask(all.url, path, accept);
        expect([answer.status, parsed(answer.body)]).toMatchObject([406, { reason: 'NotAcceptable' }]);
      }
    },
  );
});

test('discovery, schemas, version and reviews of its own rights are the API server’s', async () => {
  for (const path of [
    '/version',
    '/api',
    '/apis',
    '/api/v1',
    '/apis/apps',
    '/apis/apps/v1',
    '/apis/',
    '/openapi/v3/version',
  ]) {
    const [reference, whole] = await Promise.all([
      ask(api.server, path, 'application/json'),
      ask(left.url, path, 'application/json'),
    ]);
    expect([path, whole.status, parsed(whole.body)]).toEqual([path, reference.status, parsed(reference.body)]);
  }
  const review = await undiciFetch(`${left.url}/apis/authentication.k8s.io/v1/selfsubjectreviews`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ apiVersion: 'authentication.k8s.io/v1', kind: 'SelfSubjectReview' }),
  });
  expect(review.status).toBe(201);
  expect(await ask(left.url, '/apis/none.example.com/v1/things', 'application/json')).toMatchObject({ status: 404 });
});
