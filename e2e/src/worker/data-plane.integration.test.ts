import { readFileSync } from 'node:fs';
import { createLogger } from '@shard-controller/shared/observability';
import type { KubernetesClient } from '@shard-controller/shared/kubernetes';
import { elapse, PATIENCE_MS, waitUntil } from '@shard-controller/shared/testing';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startApiServer, type StandaloneApiServer } from '../cluster/standalone-api-server.ts';
import { Churn, Workload } from '../workload/index.ts';
import { clientOf, Exporter, kubeconfigOf, slots, WorkerRig } from './exporter-rig.ts';
import { seriesKey, SeriesSampler } from './series-sampler.ts';
import { release, verifyMove } from './verified-move.ts';

const PODS = 400;
const MOVED = slots(96, 128);

let api: StandaloneApiServer;
let client: KubernetesClient;
let workload: Workload;
let reference: Exporter;
let left: WorkerRig;
let right: WorkerRig;
let epoch = 1;

/** Waits until `test` holds; fails with the status when it does not in time. */
async function until(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  const state = (rig: WorkerRig): string => {
    const { objectsByResource: _, ...status } = rig.plane.status();
    return `${JSON.stringify(status)}\n${readFileSync(rig.exporter.logFile, 'utf8').slice(-1_500)}`;
  };
  await waitUntil(what, holds, { context: () => `${state(left)}\n${state(right)}` });
}

interface Difference {
  readonly missing: readonly string[];
  readonly extra: readonly string[];
  readonly doubled: number;
}

const NONE: Difference = { missing: [], extra: [], doubled: 0 };

/** How the workers' series together differ from the reference's, values included. */
async function difference(): Promise<Difference> {
  const [all, ...parts] = await Promise.all([reference.series(), left.exporter.series(), right.exporter.series()]);
  const expected = new Set(all);
  const union = parts.flat();
  const shown = new Set(union);
  return {
    missing: all.filter((line) => !shown.has(line)).slice(0, 5),
    extra: union.filter((line) => !expected.has(line)).slice(0, 5),
    doubled: union.length - shown.size,
  };
}

async function expectNoDifference(timeout = 10_000): Promise<void> {
  await expect.poll(difference, { timeout, interval: 100 }).toEqual(NONE);
}

async function withChurn<T>(work: () => Promise<T>, mode: 'everything' | 'values' = 'everything'): Promise<T> {
  const churn = new Churn(workload, 50);
  churn.setMode(mode);
  const stop = new AbortController();
  const running = churn.run(stop.signal);
  try {
    return await work();
  } finally {
    stop.abort();
    await running;
  }
}

const isWarm = (rig: WorkerRig): boolean => {
  const { warm, slots: count } = rig.plane.status();
  return warm && count.assigned === count.acknowledged;
};

/** Per kind, how long after the exporter first asked for it the exporter shows everything of `owned` slots, ms. */
async function completions(rig: WorkerRig, owned: number): Promise<readonly { resource: string; ms: number }[]> {
  const times = new Map<string, number>();
  const isOver = (): boolean => rig.plane.inspection.feeds().every(({ resource }) => times.has(resource));
  await until('every kind is complete', () => {
    for (const { resource, isSharded, watches } of rig.plane.inspection.feeds()) {
      const askedAt = rig.askedAt.get(resource);
      const isWhole = watches.length > 0 && watches.every(({ slotsShown }) => !isSharded || slotsShown === owned);
      if (isWhole && askedAt !== undefined && !times.has(resource)) times.set(resource, performance.now() - askedAt);
    }
    return isOver() && times.size > 20;
  });
  return Array.from(times, ([resource, ms]) => ({ resource, ms }));
}

const stateOf = (rig: WorkerRig): string | undefined => rig.plane.status().handovers[0]?.state;

/** Moves `MOVED` from one rig to the other, as the manager would. */
async function move(
  source: WorkerRig,
  target: WorkerRig,
  keeps: readonly number[],
  has: readonly number[],
): Promise<void> {
  epoch++;
  target.assign({ epoch, owned: has, warm: [{ migration: 'm', slots: MOVED }] });
  await until('the target acknowledges', () => stateOf(target) === 'acknowledged');
  const verified = await verifyMove(source.plane, target.plane, MOVED);
  expect(verified).toMatchObject({ kind: 'verified', leftOut: { sourceOnly: [], uncounted: [] } });
  expect(verified.kind === 'verified' && verified.kinds).toBeGreaterThan(20);
  epoch++;
  target.assign({ epoch, owned: [...has, ...MOVED] });
  source.assign({ epoch, owned: keeps, release: [{ migration: 'm', slots: MOVED }] });
  await release(source.plane, target.plane, MOVED);
  epoch++;
  source.assign({ epoch, owned: keeps });
}

beforeAll(async () => {
  api = await startApiServer();
  client = clientOf(api, createLogger({ name: 'workload', level: 'warn' }), 'workload');
  workload = new Workload({ client, seed: 1, pods: PODS, nodes: 5, namespaces: 4 });
  await workload.define();
  await workload.populate();
  reference = await Exporter.create('reference', api.server, kubeconfigOf(api));
  left = await WorkerRig.create('left', api);
  right = await WorkerRig.create('right', api);
  for (const rig of [left, right]) rig.startPlane();
  left.assign({ epoch, owned: slots(0, 128) });
  right.assign({ epoch, owned: slots(128, 256) });
  reference.start();
  await Promise.all([left, right].map((rig) => rig.startExporter()));
});

afterAll(async () => {
  await Promise.allSettled([left?.stop(), right?.stop(), reference?.stop()]);
  await client?.close();
  await api?.stop();
});

describe('a data plane between a real API server and a real kube-state-metrics', () => {
  test('two workers show exactly what one unsharded exporter shows, values included', async () => {
    await until('both are warm', () => isWarm(left) && isWarm(right));
    await expectNoDifference(10_000);
    const counts = [left, right].map((rig) => rig.plane.status().objectsByResource['pods'] ?? 0);
    expect(counts[0]! + counts[1]!).toBe(PODS);
    expect(Math.min(...counts)).toBeGreaterThan(PODS / 4);
  });

  test('32 slots move back and forth under churn without a missing series', async () => {
    const report = await withChurn(async () => {
      const sampler = new SeriesSampler([left.exporter, right.exporter], reference);
      await elapse(2_500);
      await move(left, right, slots(0, 96), slots(128, 256));
      await elapse(500);
      await move(right, left, slots(128, 256), slots(0, 96));
      await elapse(1_000);
      return sampler.stop();
    });
    expect(report).toMatchObject({ missingMax: 0, examples: [], failures: [] });
    expect(report.samples).toBeGreaterThan(10);
    await expectNoDifference(5_000);
  });

  test('a rolled-back warm takes everything back that it added', async () => {
    await expectNoDifference(5_000);
    const before = right.plane.status().objects;
    right.assign({ epoch: ++epoch, owned: slots(128, 256), warm: [{ migration: 'm', slots: MOVED }] });
    await until('acknowledged', () => stateOf(right) === 'acknowledged');
    expect(right.plane.status().objects).toBeGreaterThan(before);
    right.assign({ epoch: ++epoch, owned: slots(128, 256) });
    await expectNoDifference(5_000);
    expect(right.plane.status().objects).toBe(before);
    await expect.poll(() => right.plane.status().exposedSlots).toBe(128);
  });

  test('an owned slot that vanishes without a release stays exposed until told', async () => {
    left.assign({ epoch: ++epoch, owned: slots(0, 96) });
    await elapse(500);
    expect(left.plane.status()).toMatchObject({ keptSlots: 32, exposedSlots: 128 });
    await expectNoDifference(5_000);
    left.assign({ epoch: ++epoch, owned: slots(0, 128) });
    expect(left.plane.status()).toMatchObject({ keptSlots: 0, exposedSlots: 128 });
  });

  test('an unrelated CustomResourceDefinition disturbs nobody', async () => {
    const expected = new Set((await reference.series()).map(seriesKey));
    const path = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';
    const sampler = new SeriesSampler([left.exporter, right.exporter], undefined, expected);
    await client.create(path, unrelatedDefinition());
    await elapse(4_000);
    await client.delete(`${path}/gadgets.unrelated.example.com`);
    await elapse(4_000);
    expect(await sampler.stop()).toMatchObject({ missingMax: 0, examples: [], failures: [] });
    await expectNoDifference(10_000);
  });

  test('a data plane that restarts under a living exporter loses no series', async () => {
    const expected = new Set((await reference.series()).map(seriesKey));
    const report = await withChurn(async () => {
      const sampler = new SeriesSampler([left.exporter, right.exporter], undefined, expected);
      await left.stopPlane();
      await elapse(1_000);
      left.startPlane();
      left.assign({ epoch: ++epoch, owned: slots(0, 128) });
      const completed = completions(left, 128);
      // It serves again as soon as the exporter is back, before every watch is.
      await until('serves again', () => left.plane.status().warm);
      await until('all acknowledged', () => isWarm(left));
      const times = (await completed).toSorted((a, b) => a.ms - b.ms);
      const slowest = times.at(-1);
      console.log(
        `from the exporter's re-watch until everything of it is rendered: ${times.length} kinds, ` +
          `median ${times[times.length >> 1]?.ms.toFixed(0)} ms, slowest ${slowest?.ms.toFixed(0)} ms (${slowest?.resource})`,
      );
      expect(times.length).toBeGreaterThan(20);
      expect(slowest?.ms).toBeLessThan(PATIENCE_MS);
      return sampler.stop();
    }, 'values');
    expect(report).toMatchObject({ missingMax: 0, examples: [], failures: [] });
    await expectNoDifference(35_000);
  });

  test('a data plane that was away corrects what has come, gone and changed meanwhile', async () => {
    await withChurn(async () => {
      await left.stopPlane();
      await elapse(2_000);
      left.startPlane();
      left.assign({ epoch: ++epoch, owned: slots(0, 128) });
      await until('all acknowledged', () => isWarm(left));
    });
    await expectNoDifference(35_000);
    expect(left.plane.status()).toMatchObject({ warm: true, exposedSlots: 128 });
  });

  test('a data plane that restarts with fewer slots deletes the others from the living exporter', async () => {
    await left.stopPlane();
    left.startPlane();
    left.assign({ epoch: ++epoch, owned: slots(0, 96) });
    right.assign({ epoch: ++epoch, owned: slots(96, 256) });
    await until('all acknowledged', () => isWarm(left) && isWarm(right));
    await expectNoDifference(35_000);
    expect(left.plane.status()).toMatchObject({ exposedSlots: 96, keptSlots: 0 });
    left.assign({ epoch: ++epoch, owned: slots(0, 128) });
    right.assign({ epoch, owned: slots(128, 256), release: [{ migration: 'm', slots: MOVED }] });
    await release(right.plane, left.plane, MOVED);
    await expectNoDifference();
  });

  test('an exporter that restarts alone is complete again', async () => {
    await right.exporter.kill();
    await expect.poll(() => right.plane.status().warmReason).toContain('the exporter has no watch on');
    await right.startExporter();
    await until('warm again', () => isWarm(right));
    await expectNoDifference(10_000);
  });

  test('an exporter that starts twice, because of custom resources, is sent every object once', async () => {
    await right.exporter.kill();
    await until('cold', () => !isWarm(right));
    right.received.clear();
    await right.startExporter();
    await until('warm again', () => isWarm(right));
    // The API server is asked for the objects of this shard's slots only.
    const { pods = 0 } = right.plane.status().objectsByResource;
    await expect.poll(() => right.received.get('pods') ?? 0).toBeGreaterThanOrEqual(pods);
    expect(pods).toBeGreaterThan(PODS / 4);
    expect(right.received.get('pods')).toBeLessThan(1.5 * pods);
  });

  test('an API server restart takes no series away', async () => {
    await until('both are warm', () => isWarm(left) && isWarm(right));
    // The API server's own Lease carries its identity, which a restart changes.
    const stays = (await reference.series()).filter((line) => !line.startsWith('kube_lease_'));
    const expected = new Set(stays.map(seriesKey));
    const report = await withChurn(async () => {
      const sampler = new SeriesSampler([left.exporter, right.exporter], undefined, expected);
      await api.restart();
      await elapse(5_000);
      return sampler.stop();
    }, 'values');
    expect(report).toMatchObject({ missingMax: 0, examples: [], failures: [] });
    await expectNoDifference(20_000);
  });

  test('objects that came and went while the API server restarted are corrected', async () => {
    await withChurn(async () => {
      await elapse(1_000);
      await api.kill();
      await api.restart();
      await elapse(3_000);
    });
    await expectNoDifference(20_000);
    // After several restarts of its worker an exporter's watch may stay away for up to its longest back-off.
    const missing = (): number => right.plane.status().feeds.total - left.plane.status().feeds.synced;
    await expect.poll(missing).toBe(0);
  });
});

function unrelatedDefinition(): unknown {
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: 'gadgets.unrelated.example.com' },
    spec: {
      group: 'unrelated.example.com',
      scope: 'Namespaced',
      names: { kind: 'Gadget', plural: 'gadgets', singular: 'gadget', listKind: 'GadgetList' },
      versions: [{ name: 'v1', served: true, storage: true, schema: { openAPIV3Schema: { type: 'object' } } }],
    },
  };
}
