import { PassThrough, Readable } from 'node:stream';
import { createLogger } from '@shard-controller/shared/observability';
import { systemClock } from '@shard-controller/shared/runtime';
import { elapse, PATIENCE_MS } from '@shard-controller/shared/testing';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { SlotAssignment } from '../slots/slot-assignment.ts';
import { ScriptedApiServer } from '../upstream/testing/scripted-api-server.ts';
import { protobufCodec } from '../wire/frame-codec.ts';
import { FrameView } from '../wire/frame-view.ts';
import { protobufFrame, protobufObject, readEvents } from '../wire/testing/wire.ts';
import { createDataPlane } from './create.ts';
import type { DataPlane, DataPlaneOptions } from './data-plane.ts';

const PROTOBUF = { accept: 'application/vnd.kubernetes.protobuf,application/json' };
const ALL = Array.from({ length: 64 }, (_, slot) => slot);

let api: ScriptedApiServer;
let plane: DataPlane;
let stop: AbortController;
let running: Promise<void>;
let url: string;

function assignment(owned: readonly number[]): SlotAssignment {
  return { generation: 1, epoch: 1, slotCount: 64, shardBy: 'uid', owned, warm: [], release: [] };
}

async function start(options: Partial<DataPlaneOptions> = {}): Promise<void> {
  stop = new AbortController();
  url = await new Promise((resolve) => {
    plane = createDataPlane({
      upstream: api,
      logger: createLogger({ name: 'test', level: 'fatal' }),
      clock: systemClock,
      host: '127.0.0.1',
      port: 0,
      onListening: (port) => resolve(`http://127.0.0.1:${port}`),
      ...options,
    });
    running = plane.run(stop.signal);
  });
}

beforeEach(async () => {
  api = new ScriptedApiServer();
  for (const uid of ['a', 'b']) api.change('ADDED', uid);
  await start();
});

afterEach(async () => {
  stop.abort();
  await running;
});

const get = (path: string, init: RequestInit = {}): Promise<Response> =>
  fetch(`${url}${path}`, { headers: PROTOBUF, signal: AbortSignal.timeout(PATIENCE_MS), ...init });

/** Reads a watch until the worker ends it. */
async function wholeWatch(query: string): Promise<ReturnType<typeof readEvents>> {
  const response = await get(`/api/v1/pods?watch=true&${query}`);
  expect(response.status).toBe(200);
  expect(response.headers.get('content-type')).toBe('application/vnd.kubernetes.protobuf;stream=watch');
  return readEvents(Buffer.from(await response.arrayBuffer()));
}

const said = (events: ReturnType<typeof readEvents>): string[] =>
  events.map(({ type, uid, version }) => `${type} ${uid}@${version}`);

describe('what the exporter may not do is refused with a Status', () => {
  test.each([
    ['POST', '/api/v1/namespaces/x/pods', 405],
    ['PUT', '/api/v1/namespaces/x/pods/p', 405],
    ['PATCH', '/apis/apps/v1/namespaces/x/deployments/d', 405],
    ['DELETE', '/api/v1/nodes/n', 405],
    ['DELETE', '/api/v1/pods', 405],
    ['GET', '/api/v1/namespaces/x/pods/p/log', 403],
    ['GET', '/api/v1/nodes/n/proxy/metrics', 403],
    ['GET', '/api/v1/watch/pods', 403],
  ])('%s %s', async (method, path, code) => {
    const response = await get(path, { method });
    expect(response.status).toBe(code);
    expect(await response.json()).toMatchObject({ kind: 'Status', status: 'Failure', code });
    // The probe of the server continues all the while.
    expect(api.requests.filter((path) => path !== '/livez')).toEqual([]);
  });
});

test('health is answered by the worker, whatever the API server says', async () => {
  for (const path of ['/livez', '/readyz', '/healthz']) expect((await get(path)).status).toBe(200);
  expect(api.requests.filter((path) => path !== '/livez')).toEqual([]);
});

test('reviews of its own permissions are forwarded; single objects when they are of its slots', async () => {
  plane.applyAssignment(assignment(ALL));
  api.next((request) =>
    request.method === 'POST'
      ? { status: 201, headers: {}, body: Readable.from([Buffer.from(String(request.body))]) }
      : undefined,
  );
  const path = '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews';
  const review = await get(path, { method: 'POST', body: '{"spec":{}}' });
  expect([review.status, await review.text()]).toEqual([201, '{"spec":{}}']);
  const object = await get('/api/v1/namespaces/ns/pods/a');
  expect(object.headers.get('content-type')).toBe('application/vnd.kubernetes.protobuf');
  plane.applyAssignment({ ...assignment([]), epoch: 2, release: [{ migration: 'm', slots: ALL }] });
  const foreign = await get('/api/v1/namespaces/ns/pods/a');
  expect([foreign.status, await foreign.json()]).toMatchObject([404, { reason: 'NotFound' }]);
});

test('an exporter that holds something is told to come back while there is no assignment', async () => {
  for (const query of [
    'watch=true&resourceVersion=7',
    'watch=true&sendInitialEvents=true&resourceVersion=7',
    'resourceVersion=7',
  ]) {
    const response = await get(`/api/v1/pods?${query}`);
    expect([response.status, response.headers.get('retry-after')]).toEqual([429, '1']);
  }
  expect(plane.status()).toMatchObject({ warm: false, warmReason: 'no assignment yet' });
});

test('what is there is read once for an exporter that starts, however soon the feed opens', async () => {
  plane.applyAssignment(assignment(ALL));
  const events = await wholeWatch('sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true');
  expect(said(events)).toContain('ADDED a@101');
  expect(api.requests.filter((query) => query.includes('sendInitialEvents=true'))).toHaveLength(1);
});

test('a first WatchList is complete at once and empty; its objects follow and end with a bookmark', async () => {
  plane.applyAssignment(assignment(ALL));
  const events = await wholeWatch('sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true');
  expect(said(events)[0]).toBe('BOOKMARK @102');
  expect(
    said(events)
      .filter((text) => text.startsWith('ADDED'))
      .sort(),
  ).toEqual(['ADDED a@101', 'ADDED b@102']);
  expect(said(events).at(-1)).toBe('BOOKMARK @102');
  expect(plane.status()).toMatchObject({ objects: 2, slots: { assigned: 64, acknowledged: 0 } });
  const again = await get('/api/v1/pods?watch=true&resourceVersion=102');
  await expect.poll(() => plane.status().warm).toBe(true);
  expect(plane.status().slots.acknowledged).toBe(64);
  await again.body?.cancel();
});

test('a first list is empty, and the watch from its resourceVersion brings the objects', async () => {
  plane.applyAssignment(assignment(ALL));
  const list = await get('/api/v1/pods?limit=500&resourceVersion=0');
  const page = protobufCodec.readList(Buffer.from(await list.arrayBuffer()), new FrameView(), () =>
    expect.unreachable(),
  );
  expect(page).toMatchObject({ resourceVersion: '102', continueToken: '' });
  const events = await wholeWatch('resourceVersion=102');
  expect(
    said(events)
      .filter((text) => text.startsWith('ADDED'))
      .sort(),
  ).toEqual(['ADDED a@101', 'ADDED b@102']);
});

test('a list with a resourceVersion is answered in full, by list and by watch', async () => {
  plane.applyAssignment(assignment(ALL));
  const list = await get('/api/v1/pods?resourceVersion=101');
  const view = new FrameView();
  const uids: string[] = [];
  protobufCodec.readList(Buffer.from(await list.arrayBuffer()), view, () => uids.push(view.uid()));
  expect(uids.sort()).toEqual(['a', 'b']);
  const events = await wholeWatch('sendInitialEvents=true&resourceVersionMatch=NotOlderThan&resourceVersion=101');
  expect(said(events).slice(0, 2).sort()).toEqual(['ADDED a@101', 'ADDED b@102']);
  expect(said(events).slice(2)).toEqual(['BOOKMARK @102', 'BOOKMARK @102']);
});

/** A watch of a resumed exporter, taken up as soon as the worker knows its objects. */
async function resumed(version: string): Promise<Response> {
  for (;;) {
    const watch = await get(`/api/v1/pods?watch=true&resourceVersion=${version}`);
    if (watch.status !== 429) return watch;
    await watch.body?.cancel();
    await elapse(20);
  }
}

test('a resumed exporter gets its own again and loses the rest', async () => {
  plane.applyAssignment(assignment([]));
  const watch = await resumed('102');
  expect(watch.status).toBe(200);
  const events = readEvents(Buffer.from(await watch.arrayBuffer()));
  expect(said(events).sort()).toEqual(['BOOKMARK @102', 'DELETED a@102', 'DELETED b@102']);
});

describe('an exporter that continues from where it was', () => {
  const STREAM = 'watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true';

  /** Every reason for not being warm from now on, '' for being warm. */
  function reasons(): Set<string> {
    const heard = new Set([plane.status().warmReason]);
    plane.onChange(() => heard.add(plane.status().warmReason));
    return heard;
  }

  test('is warm at once when it had shown everything', async () => {
    plane.applyAssignment(assignment(ALL));
    const watch = await resumed('102');
    expect(plane.status()).toMatchObject({ warm: true, slots: { acknowledged: 0 } });
    await watch.body?.cancel();
  });

  test('is warm at once when its watch was cut after it had acknowledged everything', async () => {
    plane.applyAssignment(assignment(ALL));
    await wholeWatch(STREAM);
    const cut = await get('/api/v1/pods?watch=true&resourceVersion=102');
    // Looks often: it has to be remembered however soon the cut follows.
    await expect.poll(() => plane.status().warm, { interval: 5 }).toBe(true);
    await cut.body?.cancel();
    await expect.poll(() => plane.status().warmReason).toContain('has no watch on');
    const watch = await resumed('102');
    expect(plane.status()).toMatchObject({ warm: true });
    await watch.body?.cancel();
  });

  test('may be partial when the worker before had not seen it show everything', async () => {
    plane.distrustExporter();
    plane.applyAssignment(assignment(ALL));
    const heard = reasons();
    const watch = await resumed('101');
    const events = readEvents(Buffer.from(await watch.arrayBuffer()));
    expect(said(events)).toContain('ADDED b@102');
    await elapse(1_200);
    expect(heard).not.toContain('');
  });

  test('may be partial when its watch was cut within the first load', async () => {
    // The first list never ends.
    const body = new PassThrough();
    body.write(protobufFrame('ADDED', protobufObject({ uid: 'a', name: 'a', namespace: 'ns', version: '101' })));
    const headers = { 'content-type': 'application/vnd.kubernetes.protobuf;stream=watch' };
    api.next((_, query) => (query.has('sendInitialEvents') ? { status: 200, headers, body } : undefined));
    plane.applyAssignment(assignment(ALL));
    const heard = reasons();
    const cut = new AbortController();
    const watch = await get(`/api/v1/pods?${STREAM}`, { signal: cut.signal });
    const reader = watch.body?.getReader();
    await reader?.read();
    cut.abort();
    await reader?.closed.catch(() => undefined);
    const again = await get('/api/v1/pods?watch=true&resourceVersion=102');
    await again.body?.cancel();
    await elapse(1_200);
    expect(heard).not.toContain('');
  });

  test('with its CRDs says nothing of its other kinds', async () => {
    stop.abort();
    await running;
    await start({ customResources: [{ group: 'example.com', kind: 'Widget' }] });
    plane.applyAssignment(assignment(ALL));
    const heard = reasons();
    const crds = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';
    const watch = await get(`${crds}?watch=true&resourceVersion=102`);
    await watch.body?.cancel();
    await elapse(200);
    expect(heard).not.toContain('');
  });
});

test('a generic client gets everything in its first list', async () => {
  stop.abort();
  await running;
  const clients = Promise.withResolvers<number>();
  await start({ clientPort: 0, onClientListening: clients.resolve });
  url = `http://127.0.0.1:${await clients.promise}`;
  plane.applyAssignment(assignment(ALL));
  const list = await get('/api/v1/pods');
  let count = 0;
  protobufCodec.readList(Buffer.from(await list.arrayBuffer()), new FrameView(), () => count++);
  expect(count).toBe(2);
});

test('a port in use is named together with the remedy', async () => {
  const other = createDataPlane({
    upstream: api,
    logger: createLogger({ name: 'test', level: 'fatal' }),
    clock: systemClock,
    host: '127.0.0.1',
    port: Number(new URL(url).port),
  });
  await expect(other.run(AbortSignal.timeout(PATIENCE_MS))).rejects.toThrow(/port 127.0.0.1:\d+ is in use.*PROXY_PORT/);
});
