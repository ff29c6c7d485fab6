import { PassThrough, pipeline } from 'node:stream';
import type { KubernetesClient, StreamRequest, StreamResponse } from '@shard-controller/shared/kubernetes';
import { createLogger } from '@shard-controller/shared/observability';
import { systemClock } from '@shard-controller/shared/runtime';
import { createDataPlane } from '@shard-controller/worker/data-plane';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startApiServer, type StandaloneApiServer } from '../cluster/standalone-api-server.ts';
import { clientOf, slots } from './exporter-rig.ts';

const PODS = 400;
const SLOTS = 256;
const logger = createLogger({ name: 'compressed-reads', level: 'error' });

let api: StandaloneApiServer;
let client: KubernetesClient;

/** The way to the API server, and what came over it. */
class CountedUpstream {
  readonly reads: { readonly request: StreamRequest; readonly encoding: string; bytes: number }[] = [];

  readonly stream = async (request: StreamRequest): Promise<StreamResponse> => {
    const response = await client.stream(request);
    const read = { request, encoding: String(response.headers['content-encoding'] ?? 'identity'), bytes: 0 };
    this.reads.push(read);
    const body = new PassThrough();
    body.on('data', (chunk: Buffer) => (read.bytes += chunk.length)).pause();
    pipeline(response.body, body, () => undefined);
    return { ...response, body };
  };

  /** Reads of all pods, whole. */
  loads(): CountedUpstream['reads'] {
    return this.reads.filter(({ request, bytes }) => request.path === '/api/v1/pods' && bytes > 10_000);
  }
}

beforeAll(async () => {
  api = await startApiServer();
  client = clientOf(api, logger, 'compressed-reads');
  const pod = (i: number): object => ({
    metadata: {
      name: `p-${i}`,
      labels: { app: `app-${i % 7}` },
      annotations: { text: 'something to say '.repeat(40) },
    },
    spec: { nodeName: 'n1', containers: [{ name: 'c', image: 'i' }], terminationGracePeriodSeconds: 0 },
  });
  await client.create('/api/v1/namespaces/default/serviceaccounts', { metadata: { name: 'default' } }).catch(() => {});
  for (let i = 0; i < PODS; i += 20) {
    await Promise.all(
      Array.from({ length: 20 }, (_, j) => client.create('/api/v1/namespaces/default/pods', pod(i + j))),
    );
  }
});

afterAll(async () => {
  await client.close();
  await api.stop();
});

/** Loads all pods into one exporter's watch; resolves with what was read for it. */
async function load(accept: string): Promise<CountedUpstream> {
  const upstream = new CountedUpstream();
  const stop = new AbortController();
  const listening = Promise.withResolvers<number>();
  const plane = createDataPlane({
    upstream,
    logger,
    clock: systemClock,
    host: '127.0.0.1',
    port: 0,
    pushdown: 'off',
    onListening: listening.resolve,
  });
  const running = plane.run(stop.signal);
  try {
    const owned = slots(0, SLOTS);
    plane.applyAssignment({ generation: 1, epoch: 1, slotCount: SLOTS, shardBy: 'uid', owned, warm: [], release: [] });
    const query = 'watch=true&allowWatchBookmarks=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan';
    const url = `http://127.0.0.1:${await listening.promise}/api/v1/pods?${query}`;
    const watch = await fetch(url, { headers: { accept }, signal: stop.signal });
    expect(watch.status).toBe(200);
    await expect.poll(() => plane.status().objects).toBe(PODS);
    await expect.poll(() => plane.status().feeds.synced).toBe(1);
    await watch.body?.cancel();
  } finally {
    stop.abort();
    await running;
  }
  return upstream;
}

test.each(['application/vnd.kubernetes.protobuf', 'application/json'])(
  'a first list of %s comes packed, in a tenth of its bytes, and live events as they are',
  async (accept) => {
    const { reads, loads } = await load(accept).then((upstream) => ({
      reads: upstream.reads,
      loads: upstream.loads(),
    }));
    const plain = await client.stream({ path: '/api/v1/pods', headers: { accept, 'accept-encoding': 'identity' } });
    let whole = 0;
    for await (const chunk of plain.body) whole += (chunk as Buffer).length;
    expect(new Set(loads.map(({ encoding }) => encoding))).toEqual(new Set(['gzip']));
    expect(loads.reduce((sum, { bytes }) => sum + bytes, 0)).toBeLessThan(whole / 10);
    const live = reads.filter(({ request }) => {
      const query = new Map<string, unknown>(Object.entries(request.query ?? {}));
      return query.get('watch') === 'true' && !query.has('sendInitialEvents');
    });
    expect(new Set(live.map(({ encoding }) => encoding))).toEqual(new Set(['identity']));
  },
);
