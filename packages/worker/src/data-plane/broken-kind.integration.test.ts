import { Readable } from 'node:stream';
import { createLogger } from '@shard-controller/shared/observability';
import { systemClock } from '@shard-controller/shared/runtime';
import { elapse } from '@shard-controller/shared/testing';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { ScriptedApiServer, status } from '../upstream/testing/scripted-api-server.ts';
import type { Upstream } from '../upstream/upstream.ts';
import { createDataPlane } from './create.ts';
import type { DataPlane } from './data-plane.ts';

const ALL = Array.from({ length: 64 }, (_, slot) => slot);
const STREAM = 'watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true';

let api: ScriptedApiServer;
let plane: DataPlane;
let stop: AbortController;
let running: Promise<void>;
let url: string;
let isForbidden: boolean;
/** How much later it is for the worker than for this process, ms. */
let ahead: number;

/** Pods as scripted; configmaps, with the same objects, as long as they are not forbidden. */
const upstream: Upstream = {
  stream: async (request) => {
    if (request.path === '/api/v1') {
      const verbs = ['get', 'list', 'watch'];
      const resources = [
        { name: 'pods', kind: 'Pod', verbs },
        { name: 'configmaps', kind: 'ConfigMap', verbs },
      ];
      const body = Readable.from([Buffer.from(JSON.stringify({ resources }))]);
      return { status: 200, headers: { 'content-type': 'application/json' }, body };
    }
    if (!request.path.includes('configmaps')) return api.stream(request);
    return isForbidden
      ? status(403, 'Forbidden')
      : api.stream({ ...request, path: request.path.replace('configmaps', 'pods') });
  },
};

async function start(): Promise<void> {
  stop = new AbortController();
  url = await new Promise((resolve) => {
    plane = createDataPlane({
      upstream,
      logger: createLogger({ name: 'test', level: 'fatal' }),
      clock: { ...systemClock, monotonic: () => systemClock.monotonic() + ahead },
      host: '127.0.0.1',
      port: 0,
      onListening: (port) => resolve(`http://127.0.0.1:${port}`),
    });
    running = plane.run(stop.signal);
  });
}

beforeEach(async () => {
  isForbidden = true;
  ahead = 0;
  api = new ScriptedApiServer();
  for (const uid of ['a', 'b']) api.change('ADDED', uid);
  await start();
});

afterEach(async () => {
  stop.abort();
  await running;
});

/** A reflector of client-go: fills its store by a WatchList, and comes back to each watch that ends in order. */
async function reflect(resource: string, from: string | undefined, signal: AbortSignal): Promise<void> {
  const accept = 'application/vnd.kubernetes.protobuf,application/json';
  let version = from;
  while (!signal.aborted) {
    const query = version === undefined ? STREAM : `watch=true&resourceVersion=${version}`;
    try {
      const answer = await fetch(`${url}/api/v1/${resource}?${query}`, { headers: { accept }, signal });
      await answer.arrayBuffer();
      if (answer.status === 200) version = '102';
    } catch {
      // Its end, or the worker's.
    }
    await systemClock.sleep(20, signal);
  }
}

/** An exporter of both kinds, which holds pods as of `pods`, or nothing. */
function exporter(pods: string | undefined): Promise<unknown> {
  return Promise.all([reflect('pods', pods, stop.signal), reflect('configmaps', undefined, stop.signal)]);
}

const assignment = { generation: 1, epoch: 1, slotCount: 64, shardBy: 'uid', warm: [], release: [] } as const;

test('a kind that is forbidden from the start is left out after some seconds, and shown once it is allowed', async () => {
  plane.applyAssignment({ ...assignment, owned: ALL });
  void exporter(undefined);
  await expect.poll(() => plane.status().warm).toBe(true);
  expect(plane.status()).toMatchObject({
    slots: { assigned: 64, acknowledged: 64 },
    feeds: { synced: 1, total: 1 },
    unavailable: [{ kind: 'configmaps', cause: 'forbidden', message: expect.stringContaining('Remedy: grant') }],
  });
  plane.applyAssignment({ ...assignment, epoch: 2, owned: ALL.slice(1), warm: [{ migration: 'm', slots: [0] }] });
  await expect
    .poll(() => plane.status().handovers[0])
    .toMatchObject({
      state: 'acknowledged',
      without: 1,
    });
  const cold: string[] = [];
  plane.onChange(() => {
    const { warm, warmReason, slots } = plane.status();
    if (!warm || slots.acknowledged < slots.assigned) cold.push(warmReason);
  });
  isForbidden = false;
  await expect.poll(() => plane.status().unavailable).toEqual([]);
  expect(plane.status()).toMatchObject({ feeds: { synced: 2, total: 2 }, objectsByResource: { configmaps: 2 } });
  expect([cold, plane.status().handovers[0]?.state]).toEqual([[], 'acknowledged']);
});

test('an exporter that asks for a forbidden kind again and again has not started again', async () => {
  plane.presumeUnavailable([{ kind: 'configmaps', cause: 'forbidden', message: 'configmaps is forbidden', since: 5 }]);
  plane.applyAssignment({ ...assignment, owned: ALL });
  const configMaps = reflect('configmaps', undefined, stop.signal);
  // Asked for first: what comes back with its series afterwards is none of a new exporter.
  await expect.poll(() => plane.inspection.feeds().length).toBe(1);
  const reasons = new Set<string>();
  const pods = reflect('pods', '102', stop.signal);
  await expect.poll(() => plane.status().warm).toBe(true);
  plane.onChange(() => reasons.add(plane.status().warmReason));
  await expect.poll(() => plane.status().slots.acknowledged).toBe(64);
  expect([...reasons].filter((reason) => reason !== '')).toEqual([]);
  expect(plane.status().unavailable).toMatchObject([{ kind: 'configmaps', since: 5 }]);
  stop.abort();
  await Promise.all([pods, configMaps]);
});

test('a kind that Kubernetes does not have is not forgotten between two requests for it', async () => {
  plane.applyAssignment({ ...assignment, owned: ALL });
  const pods = reflect('pods', undefined, stop.signal);
  const ask = async (): Promise<number> => {
    const answer = await fetch(`${url}/api/v1/secrets?${STREAM}`);
    await answer.arrayBuffer();
    return answer.status;
  };
  await expect.poll(async () => [await ask(), plane.status().unavailable?.length]).toEqual([404, 1]);
  await expect.poll(() => plane.status().warm).toBe(true);
  const cold = new Set<string>();
  plane.onChange(() => cold.add(plane.status().warmReason));
  for (let i = 0; i < 5; i++) {
    // An exporter asks again after a minute at most.
    ahead += 60_000;
    expect(await ask()).toBe(404);
    // Its upkeep comes by.
    await elapse(700);
  }
  expect([...cold].filter((reason) => reason !== '')).toEqual([]);
  expect(plane.status().unavailable).toMatchObject([{ kind: 'secrets', cause: 'not-served' }]);
  stop.abort();
  await pods;
});
