import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { resourcePath } from '@shard-controller/shared/kubernetes';
import { elapse } from '@shard-controller/shared/testing';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { resolveBinary } from '../cluster/binaries.ts';
import { kubeconfig } from '../cluster/credentials.ts';
import { type Cluster, startCluster } from '../cluster/index.ts';
import { install } from '../install/index.ts';

const NAMESPACE = 'monitoring';
const SHARDS = 3;
/** Bar for the time from a deletion to the end of the last pod, ms. Printed with what was measured; a busy machine fails no test. */
const GONE_BAR_MS = 10_000;
/** What a drain that nobody can end would take, ms, is far more. */
const GONE_LIMIT_MS = 60_000;

const say = (text: string): void => void process.stdout.write(`${text}\n`);

const configSchema = z.looseObject({
  metadata: z.looseObject({ uid: z.string(), generation: z.int() }),
  status: z
    .looseObject({
      observedGeneration: z.int().default(0),
      readyShards: z.int().default(0),
      updatedShards: z.int().default(0),
      shards: z.int().default(0),
      openMigrations: z.int().default(0),
      conditions: z.array(z.looseObject({ type: z.string(), status: z.string() })).default([]),
    })
    .prefault({}),
});

const podSchema = z.looseObject({
  metadata: z.looseObject({ name: z.string(), uid: z.string(), deletionTimestamp: z.string().optional() }),
  status: z.looseObject({ podIP: z.string().optional() }).prefault({}),
});

const eventSchema = z.looseObject({ reason: z.string().default(''), note: z.string().default('') });

let cluster: Cluster;

beforeAll(async () => {
  cluster = await startCluster({ fakeNodes: false });
  await Promise.all(['process-node-1', 'process-node-2', 'process-node-3'].map((name) => cluster.addNode(name)));
  await install(cluster.admin, { namespace: NAMESPACE, nats: cluster.nats });
});

afterAll(async () => {
  await cluster?.stop();
});

const at = (group: string, version: string, resource: string, name?: string): string =>
  resourcePath({ group, version, resource, namespace: NAMESPACE, name });

const configPath = (name: string): string => at('shard.io', 'v1', 'shardconfigs', name);

async function until(what: string, check: () => Promise<boolean>, withinMs: number): Promise<number> {
  const began = performance.now();
  while (!(await check())) {
    if (performance.now() - began > withinMs) throw new Error(`${what}: not within ${withinMs / 1000} s`);
    await elapse(100);
  }
  return performance.now() - began;
}

async function pods(config: string): Promise<readonly z.infer<typeof podSchema>[]> {
  const query = { labelSelector: `shard.io/config=${config}` };
  const { items } = await cluster.admin.list(at('', 'v1', 'pods'), { query });
  return items.map((item) => podSchema.parse(item));
}

/** Creates a ShardConfig; resolves with the time until it was Ready, ms. */
async function create(name: string): Promise<number> {
  const object = {
    apiVersion: 'shard.io/v1',
    kind: 'ShardConfig',
    metadata: { name, namespace: NAMESPACE },
    spec: {
      mode: 'Manual',
      shards: SHARDS,
      minShards: 1,
      maxShards: 4,
      exporter: { resources: ['pods', 'configmaps', 'namespaces'] },
    },
  };
  await cluster.admin.apply({ object, fieldManager: 'test' });
  return ready(name);
}

const ready = (name: string): Promise<number> =>
  until(
    `${name} Ready`,
    async () => {
      const { metadata, status } = configSchema.parse(await cluster.admin.get(configPath(name)));
      const is = (type: string, value: string): boolean =>
        status.conditions.some((condition) => condition.type === type && condition.status === value);
      const counts = [status.shards, status.readyShards, status.updatedShards];
      return (
        status.observedGeneration === metadata.generation &&
        counts.every((count) => count === SHARDS) &&
        status.openMigrations === 0 &&
        is('Ready', 'True') &&
        is('Progressing', 'False')
      );
    },
    240_000,
  );

const gone = (name: string): Promise<number> =>
  until(`no pod of ${name} is left`, async () => (await pods(name)).length === 0, 200_000);

describe('a ShardConfig that is deleted', () => {
  test.each(['Background', 'Foreground'] as const)(
    '%s: its pods end at once; made again, it is Ready as usual',
    async (propagationPolicy) => {
      const name = propagationPolicy.toLowerCase();
      const firstMs = await create(name);
      await cluster.admin.delete(configPath(name), { propagationPolicy });
      const goneMs = await gone(name);
      await until('the object is gone', async () => (await cluster.admin.find(configPath(name))) === undefined, 30_000);
      const againMs = await create(name);
      say(
        `${propagationPolicy}: pods gone after ${Math.round(goneMs)} ms (bar ${GONE_BAR_MS}); Ready after ${Math.round(firstMs)} and ${Math.round(againMs)} ms`,
      );
      expect(goneMs).toBeLessThan(GONE_LIMIT_MS);
      expect(againMs).toBeLessThan(2 * firstMs + GONE_LIMIT_MS);
      await cluster.admin.delete(configPath(name));
      // Made again before anything of the first one is gone.
      const overMs = await create(name);
      say(`${propagationPolicy}: made again at once, Ready after ${Math.round(overMs)} ms`);
      expect(overMs).toBeLessThan(2 * firstMs + GONE_LIMIT_MS);
      await cluster.admin.delete(configPath(name));
      await gone(name);
    },
  );

  test('Orphan: its workers go on, and end at once when their StatefulSet is deleted', async () => {
    await create('orphan');
    const before = (await pods('orphan')).map(({ metadata }) => metadata.uid);
    await cluster.admin.delete(configPath('orphan'), { propagationPolicy: 'Orphan' });
    await until(
      'the object is gone',
      async () => (await cluster.admin.find(configPath('orphan'))) === undefined,
      30_000,
    );
    await elapse(3000);
    expect((await pods('orphan')).map(({ metadata }) => metadata.uid)).toEqual(before);
    await cluster.admin.delete(at('apps', 'v1', 'statefulsets', 'orphan-a'));
    const goneMs = await gone('orphan');
    say(`orphaned StatefulSet deleted: pods gone after ${Math.round(goneMs)} ms (bar ${GONE_BAR_MS})`);
    expect(goneMs).toBeLessThan(GONE_LIMIT_MS);
  });
});

describe('moves and those who read', () => {
  beforeAll(async () => {
    await create('read');
  });

  const url = ({ status }: z.infer<typeof podSchema>): string => `http://${status.podIP}:8080/metrics`;

  /** Renews all workers; resolves with the time that it took, ms. */
  async function roll(round: string): Promise<number> {
    const began = performance.now();
    const patch = { spec: { podAnnotations: { 'test.shard.io/round': round } } };
    await cluster.admin.patch(configPath('read'), patch, { contentType: 'application/merge-patch+json' });
    await ready('read');
    return performance.now() - began;
  }

  async function overlapsExpired(): Promise<readonly string[]> {
    const { items } = await cluster.admin.list(at('events.k8s.io', 'v1', 'events'));
    return items
      .map((item) => eventSchema.parse(item))
      .filter(({ reason }) => reason === 'OverlapExpired')
      .map(({ note }) => note);
  }

  test('a person who looks at every worker is waited for by no move of a rolling update', async () => {
    const withoutMs = await roll('nobody');
    for (const pod of await pods('read')) {
      const answer = await fetch(url(pod), { headers: { 'user-agent': 'curl/8.5.0' } });
      expect(answer.status).toBe(200);
      await answer.text();
    }
    const withMs = await roll('a person');
    say(
      `rolling update of ${SHARDS}: ${Math.round(withoutMs)} ms read by nobody, ${Math.round(withMs)} ms after a person has looked`,
    );
    expect(withMs).toBeLessThan(2 * withoutMs + 60_000);
    expect(await overlapsExpired()).toEqual([]);
  });

  test('scrapers that share the workers are waited for until one of them has read the target', async () => {
    const end = new AbortController();
    /** Reads the workers of even, or of odd ordinals, once a second. */
    const scraper = async (share: number): Promise<void> => {
      while (!end.signal.aborted) {
        const mine = (await pods('read')).filter(
          ({ metadata }) => Number(metadata.name.split('-').at(-1)) % 2 === share,
        );
        const headers = { 'user-agent': `Prometheus/3.5.0 share ${share}`, 'x-prometheus-scrape-timeout-seconds': '5' };
        await Promise.all(
          mine.map(async (pod) => {
            const answer = await fetch(url(pod), { headers }).catch(() => undefined);
            await answer?.text().catch(() => '');
          }),
        );
        await elapse(1000);
      }
    };
    const reading = [scraper(0), scraper(1)];
    try {
      await elapse(25_000);
      const ms = await roll('shared');
      say(`rolling update of ${SHARDS}, read by two that share the workers: ${Math.round(ms)} ms`);
      expect(await overlapsExpired()).toEqual([]);
    } finally {
      end.abort();
      await Promise.all(reading);
    }
  });
});

describe('kubectl shard', () => {
  const folder = mkdtempSync(join(tmpdir(), 'kubectl-shard-test-'));
  const kubeconfigFile = join(folder, 'kubeconfig');

  beforeAll(() => {
    const { apiServerUrl: server, caPem, adminToken: token } = cluster;
    writeFileSync(kubeconfigFile, kubeconfig({ server, caPem, token }), { mode: 0o600 });
  });

  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  interface Ran {
    readonly exit: number;
    readonly out: string;
    readonly err: string;
  }

  /** The program that a build leaves, with the real kubectl. */
  function shard(...args: readonly string[]): Promise<Ran> {
    const program = join(import.meta.dirname, '../../../dist/kubectl-shard');
    const flags = ['--kubeconfig', kubeconfigFile, '--namespace', NAMESPACE];
    const env = { ...process.env, KUBECTL: resolveBinary('kubectl') };
    return new Promise((resolve) => {
      execFile(process.execPath, [program, ...flags, ...args], { env, maxBuffer: 2 ** 26 }, (error, out, err) => {
        resolve({ exit: typeof error?.code === 'number' ? error.code : 0, out, err });
      });
    });
  }

  test('shows a fleet, where an object is and why, and what would move', async () => {
    expect(await shard('status', '--wait', 'read')).toMatchObject({ exit: 0, err: '' });
    expect((await shard('get', 'read')).out).toMatch(/shard-000 +read-a-0 +Running/);
    expect((await shard('top', '--sort', 'objects')).out).toContain('configmaps');
    const where = await shard('where', 'configmap/kube-root-ca.crt');
    expect(where.out).toMatch(
      /in monitoring\/read: shard-00\d \(pod read-a-\d\), slot \d+\n +since \d+\w ago\n +because of /,
    );
    expect((await shard('plan', 'read', '--shards', '4')).out).toMatch(
      /64 of 256 slots would move \(25%\), the least possible is 64/,
    );
    const events = await shard('events', 'read', '--limit', '500');
    const migration = /migration (g\d+-m\d+)/.exec(events.out)?.[1] ?? '';
    expect((await shard('explain', 'read', migration)).out).toMatch(
      /Preparation[\s\S]*Verification[\s\S]*completed after/,
    );
    expect(await shard('check')).toMatchObject({ exit: 0, out: expect.stringContaining('all is well') });
    await expect
      .poll(() => shard('verify', 'read'))
      .toMatchObject({ exit: 0, out: expect.stringMatching(/pods +\d+ +\d+ +equal/) });
  });

  test('drains a worker on request', async () => {
    const before = (await pods('read')).find(({ metadata }) => metadata.name === 'read-a-1')?.metadata.uid;
    expect((await shard('drain', 'shard-001', 'read', '--dry-run')).out).toContain('would be done: pod read-a-1');
    expect(await shard('drain', 'shard-001', 'read', '--yes')).toMatchObject({ exit: 0 });
    await expect
      .poll(
        async () => (await pods('read')).find(({ metadata }) => metadata.name === 'read-a-1')?.metadata.uid ?? before,
      )
      .not.toBe(before);
    await ready('read');
  });

  test('gathers what a bug report needs, and no token', async () => {
    const file = join(folder, 'diagnose.tgz');
    const { exit, err } = await shard('diagnose', '--file', file);
    expect({ exit, err }).toEqual({ exit: 0, err: expect.not.stringContaining('shardinstances') });
    const listed = await new Promise<string>((resolve) => {
      execFile('tar', ['-xzOf', file], { maxBuffer: 2 ** 28 }, (_, out) => resolve(out));
    });
    expect(listed).toContain('read-shard-000');
    expect(listed).not.toContain(cluster.adminToken);
  });
});

describe('a namespace that is deleted', () => {
  test('takes its workers with it at once', async () => {
    await create('last');
    await cluster.admin.delete(resourcePath({ group: '', version: 'v1', resource: 'namespaces', name: NAMESPACE }));
    const goneMs = await gone('last');
    say(`namespace deleted: pods gone after ${Math.round(goneMs)} ms (bar ${GONE_BAR_MS})`);
    expect(goneMs).toBeLessThan(GONE_LIMIT_MS);
  });
});
