import type { KubernetesClient } from '@shard-controller/shared/kubernetes';
import { createLogger } from '@shard-controller/shared/observability';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startApiServer, type StandaloneApiServer } from '../cluster/standalone-api-server.ts';
import { clientOf } from '../worker/exporter-rig.ts';
import { BY_NAMESPACE, CASES, EVERYTHING, type GoldenCase } from './golden-cases.ts';
import { API_SERVER_ARGS, GoldenCluster } from './golden-cluster.ts';
import { EQUAL, GoldenFleet } from './golden-fleet.ts';

/** Bounds the number of kube-state-metrics that start at the same time. */
const PARALLEL_CASES = 3;
const IN_TIME = { timeout: 30_000, interval: 100 };
const OPEN_METRICS = 'application/openmetrics-text; version=1.0.0';

let api: StandaloneApiServer;
let client: KubernetesClient;
let cluster: GoldenCluster;

/** `GOLDEN=all` (make golden): every case with 1 to 7 workers, by uid and by namespace. */
const cases: readonly GoldenCase[] =
  process.env['GOLDEN'] === 'all'
    ? [EVERYTHING, ...CASES].flatMap((each) =>
        [1, 2, 3, 4, 5, 6, 7].flatMap((workers) =>
          (['uid', 'namespace'] as const).map((shardBy) => ({ ...each, workers, shardBy })),
        ),
      )
    : CASES;

async function expectEqual(fleet: GoldenFleet): Promise<void> {
  await expect.poll(() => fleet.isWarm(), IN_TIME).toBe(true);
  await expect.poll(() => fleet.difference(), IN_TIME).toEqual(EQUAL);
  await expect.poll(() => fleet.difference(OPEN_METRICS), IN_TIME).toEqual(EQUAL);
}

/** Prints what was compared, and fails when a worker that has objects shows nothing. */
async function report(fleet: GoldenFleet): Promise<void> {
  const { name, shardBy, workers } = fleet.options;
  const series = (await fleet.reference.series()).length;
  const shown = await Promise.all(fleet.workers.map(async ({ exporter }) => (await exporter.series()).length));
  const objects = fleet.workers.map(({ plane }) => plane.status().objects);
  console.log(`golden: ${name}: ${workers} by ${shardBy}, ${objects.join(' + ')} objects, ${series} series`);
  expect(series).toBeGreaterThan(10);
  for (const [i, count] of objects.entries()) if (count > 0) expect(shown[i]).toBeGreaterThan(0);
  const idle = shardBy === 'uid' ? 0 : workers - 1;
  expect(shown.filter((count) => count === 0).length).toBeLessThanOrEqual(idle);
}

beforeAll(async () => {
  api = await startApiServer({ extraArgs: API_SERVER_ARGS });
  client = clientOf(api, createLogger({ name: 'golden', level: 'warn' }), 'golden');
  cluster = new GoldenCluster(client);
  await cluster.populate();
});

afterAll(async () => {
  await client?.close();
  await api?.stop();
});

describe('the workers together show what one unsharded kube-state-metrics shows, line for line', () => {
  test('and again after objects of every kind were changed, deleted, made again and added', async () => {
    const fleets = await Promise.all([EVERYTHING, BY_NAMESPACE].map((each) => GoldenFleet.start(api, each)));
    try {
      await Promise.all(fleets.map(expectEqual));
      for (const fleet of fleets) await report(fleet);
      await cluster.churn();
      await Promise.all(fleets.map(expectEqual));
      for (const fleet of fleets) await report(fleet);
    } finally {
      await Promise.all(fleets.map((fleet) => fleet.stop()));
    }
  });

  test('in every case', { timeout: cases.length * 30_000 }, async () => {
    const queue = cases.values();
    await Promise.all(
      Array.from({ length: PARALLEL_CASES }, async () => {
        for (const each of queue) {
          const fleet = await GoldenFleet.start(api, each);
          try {
            await expectEqual(fleet);
            await report(fleet);
          } catch (cause) {
            throw new Error(`golden case "${each.name}", ${each.workers} workers by ${each.shardBy}`, { cause });
          } finally {
            await fleet.stop();
          }
        }
      }),
    );
  });
});
