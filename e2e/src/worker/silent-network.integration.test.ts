import { readFileSync } from 'node:fs';
import { KubernetesClient, staticEndpoint } from '@shard-controller/shared/kubernetes';
import { createLogger } from '@shard-controller/shared/observability';
import { systemClock } from '@shard-controller/shared/runtime';
import { elapse, OwnTime } from '@shard-controller/shared/testing';
import { createDataPlane, type DataPlane } from '@shard-controller/worker/data-plane';
import { afterAll, beforeAll, beforeEach, afterEach, expect, test } from 'vitest';
import { startApiServer, type StandaloneApiServer } from '../cluster/standalone-api-server.ts';
import { clientOf, slots } from './exporter-rig.ts';
import { SilentForwarder } from './silent-forwarder.ts';

/** A stuck watch is waited for as long as in production: 85 s. */
const LONG = process.env['E2E_LONG'] === '1';
/** What a dead connection or a frozen server may take until it shows, ms. */
const SEEN_WITHIN_MS = 15_000;
const CONFIG_MAPS = '/api/v1/namespaces/default/configmaps';
const logger = createLogger({ name: 'test', level: 'silent' });

let api: StandaloneApiServer;
let admin: KubernetesClient;
let forwarder: SilentForwarder;
const ends: (() => Promise<void>)[] = [];

beforeAll(async () => {
  api = await startApiServer();
  admin = clientOf(api, logger, 'admin');
});
beforeEach(async () => {
  const { hostname: host, port } = new URL(api.server);
  forwarder = await SilentForwarder.start({ host, port: Number(port) });
});
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
  await forwarder.stop();
});
afterAll(async () => {
  await admin?.close();
  await api?.stop();
});

interface Rig {
  readonly plane: DataPlane;
  /** Names of ConfigMaps that the exporter's stand-in has. */
  readonly seen: Set<string>;
  readonly reconnects: string[];
}

/** A data plane that reaches the API server through the forwarder, and a client that watches ConfigMaps there. */
async function following(silenceMs?: number): Promise<Rig> {
  const upstream = new KubernetesClient({
    endpoint: staticEndpoint({ server: `https://127.0.0.1:${forwarder.port}`, ca: api.ca, token: api.adminToken }),
    logger,
    userAgent: 'worker',
  });
  const reconnects: string[] = [];
  const listening = Promise.withResolvers<number>();
  const plane = createDataPlane({
    upstream,
    logger,
    clock: systemClock,
    host: '127.0.0.1',
    port: 0,
    ...(silenceMs === undefined ? {} : { silenceMs }),
    metrics: {
      frames: () => undefined,
      relist: () => undefined,
      pushdown: () => undefined,
      reconnect: (_resource, cause) => reconnects.push(cause),
    },
    onListening: listening.resolve,
  });
  const stop = new AbortController();
  const running = plane.run(stop.signal);
  plane.applyAssignment({
    generation: 1,
    epoch: 1,
    slotCount: 256,
    shardBy: 'uid',
    owned: slots(0, 256),
    warm: [],
    release: [],
  });
  const seen = new Set<string>();
  const watching = watch(`http://127.0.0.1:${await listening.promise}`, seen, stop.signal);
  ends.push(async () => {
    stop.abort();
    await Promise.all([running, watching]);
    await upstream.close();
  });
  await expect.poll(() => plane.status().feeds.synced).toBe(1);
  return { plane, seen, reconnects };
}

/** Lists and watches as client-go does: every end of a watch is followed by the next one from where it was. */
async function watch(url: string, seen: Set<string>, signal: AbortSignal): Promise<void> {
  let version = '';
  while (!signal.aborted) {
    const from =
      version === '' ? 'sendInitialEvents=true&resourceVersionMatch=NotOlderThan' : `resourceVersion=${version}`;
    try {
      const response = await fetch(`${url}${CONFIG_MAPS}?watch=true&allowWatchBookmarks=true&${from}`, { signal });
      let rest = '';
      for await (const chunk of response.body ?? []) {
        const lines = (rest + Buffer.from(chunk).toString()).split('\n');
        rest = lines.pop() ?? '';
        for (const line of lines) {
          version = /"resourceVersion":"(\d+)"/.exec(line)?.[1] ?? version;
          const name = /"type":"(?:ADDED|MODIFIED)".*?"name":"([^"]+)"/.exec(line)?.[1];
          if (name !== undefined) seen.add(name);
        }
      }
    } catch {
      await elapse(100);
    }
  }
}

async function create(name: string): Promise<void> {
  await admin.create(CONFIG_MAPS, { metadata: { name } });
}

test('a watch whose connection lives but says nothing is opened again, and misses nothing', async () => {
  const { plane, seen, reconnects } = await following(LONG ? undefined : 3_000);
  await create('before');
  await expect.poll(() => [...seen]).toContain('before');
  forwarder.silenceOpen();
  await create('unheard');
  await expect.poll(() => [...seen]).toContain('unheard');
  expect(reconnects).toContain('silent');
  // The server itself was heard all the time, by probes on other connections.
  expect(plane.status().staleFeeds).toEqual([]);
});

test('a network that goes silent shows within 15 s, in every figure, and is caught up with', async () => {
  const { plane, seen } = await following();
  const silent = new OwnTime();
  forwarder.silenceAll();
  await expect.poll(() => plane.status().staleFeeds, { interval: 100 }).toEqual([CONFIG_MAPS]);
  expect(silent.stop()).toBeLessThan(SEEN_WITHIN_MS);
  expect(plane.status().feeds.oldestProofMs).toBeGreaterThan(10_000);
  expect(plane.inspection.feeds()[0]?.proofAgeMs).toBeGreaterThan(10_000);
  await create('meanwhile');
  forwarder.heal();
  await expect.poll(() => [...seen]).toContain('meanwhile');
  await expect.poll(() => plane.status().staleFeeds).toEqual([]);
});

test('connections to the API server are kept alive so that a dead peer shows within 15 s', async () => {
  await following();
  // The kernel gives up after ten unanswered probes, one a second (libuv). A connection has another timer while something
  // that was sent is not acknowledged.
  await expect.poll(() => Math.max(...keepAliveTimers(forwarder.port)) + 10).toBeLessThan(SEEN_WITHIN_MS / 1_000);
  expect(keepAliveTimers(forwarder.port).length).toBeGreaterThan(0);
});

/** Seconds until the next keep-alive probe of each of this process's connections to the port; see proc(5). */
function keepAliveTimers(port: number): number[] {
  const rows = readFileSync('/proc/net/tcp', 'utf8').split('\n').slice(1);
  return rows.flatMap((row) => {
    const [, , remote = '', state, , timer = ''] = row.trim().split(/\s+/);
    if (state !== '01' || Number.parseInt(remote.split(':')[1] ?? '', 16) !== port) return [];
    const [kind, jiffies = ''] = timer.split(':');
    return [kind === '02' ? Number.parseInt(jiffies, 16) / 100 : Infinity];
  });
}
