import type { KubernetesClient } from '@shard-controller/shared/kubernetes';
import { createLogger } from '@shard-controller/shared/observability';
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { resolveBinary } from '../cluster/binaries.ts';
import { minorVersion } from '../cluster/capabilities.ts';
import { startApiServer, type StandaloneApiServer } from '../cluster/standalone-api-server.ts';
import { clientOf } from '../worker/exporter-rig.ts';
import { BY_NAMESPACE, CASES, EVERYTHING, type GoldenCase } from './golden-cases.ts';
import { API_SERVER_ARGS, GoldenCluster } from './golden-cluster.ts';
import { EQUAL, GoldenFleet } from './golden-fleet.ts';

/** Bounds the number of kube-state-metrics that start at the same time. */
const PARALLEL_CASES = 3;
const OPEN_METRICS = 'application/openmetrics-text; version=1.0.0';

/** Families that no object here fills: the API server refuses such an object. */
const EMPTY_FAMILIES = ['kube_cronjob_schedule_invalid'];
/** Families of fields that the API server drops before this minor version, where their gates are off. */
const GATED_FAMILIES = {
  kube_deployment_status_terminating_replicas: 35,
  kube_horizontalpodautoscaler_spec_behavior_scale_down_tolerance: 35,
  kube_horizontalpodautoscaler_spec_behavior_scale_up_tolerance: 35,
  kube_replicaset_status_terminating_replicas: 35,
} as const;

let api: StandaloneApiServer;
let client: KubernetesClient;
let cluster: GoldenCluster;

/** `GOLDEN=all` (make golden): every case with 1 to 7 workers, by uid and by namespace; `GOLDEN=<name>`: one case so. */
const cases = chosenCases(process.env['GOLDEN']);

function chosenCases(chosen: string | undefined): readonly GoldenCase[] {
  if (chosen === undefined) return CASES;
  const wanted = [EVERYTHING, ...CASES].filter(({ name }) => chosen === 'all' || chosen === name);
  return wanted.flatMap((each) =>
    [1, 2, 3, 4, 5, 6, 7].flatMap((workers) =>
      (['uid', 'namespace'] as const).map((shardBy) => ({ ...each, workers, shardBy })),
    ),
  );
}

async function expectEqual(fleet: GoldenFleet): Promise<void> {
  await expect.poll(() => fleet.isWarm(), { interval: 100 }).toBe(true);
  await expect.poll(() => fleet.difference(), { interval: 100 }).toEqual(EQUAL);
  await expect.poll(() => fleet.difference(OPEN_METRICS), { interval: 100 }).toEqual(EQUAL);
}

const sum = (numbers: readonly number[]): number => numbers.reduce((total, each) => total + each, 0);

/** Prints what was compared, and fails when a worker that has many objects shows nothing. */
async function report(fleet: GoldenFleet): Promise<void> {
  const { name, shardBy, workers } = fleet.options;
  const series = (await fleet.reference.series()).length;
  const shown = await Promise.all(fleet.workers.map(async ({ exporter }) => (await exporter.series()).length));
  const objects = fleet.workers.map(({ plane }) => plane.status().objects);
  console.log(`golden: ${name}: ${workers} by ${shardBy}, ${objects.join(' + ')} objects, ${series} series`);
  expect(series).toBeGreaterThan(10);
  // A few objects may be of kinds of which no metric is shown.
  expect(shown.filter((count, i) => count === 0 && (objects[i] ?? 0) >= 20)).toEqual([]);
  // Few objects, or few namespaces, may leave a worker without any.
  const isSpread = shardBy === 'uid' && sum(objects) >= 20 * workers;
  expect(shown.filter((count) => count === 0).length).toBeLessThanOrEqual(isSpread ? 0 : workers - 1);
}

beforeAll(async () => {
  api = await startApiServer({ extraArgs: API_SERVER_ARGS });
  client = clientOf(api, createLogger({ name: 'golden', level: 'warn' }), 'golden');
  cluster = await GoldenCluster.populated(client);
});

afterAll(async () => {
  await client?.close();
  await api?.stop();
});

/** The resources that this kube-state-metrics exports unless told otherwise, from its log. */
function defaultResources(fleet: GoldenFleet): string[] {
  const line = /activeStoreNames="([^"]+)"/.exec(readFileSync(fleet.reference.logFile, 'utf8'));
  return (line?.[1] ?? '').split(',');
}

/** Families without a sample, of those whose comments the unsharded exporter shows. */
async function emptyFamilies(fleet: GoldenFleet): Promise<string[]> {
  const lines = await fleet.reference.exposition();
  const families = lines.filter((line) => line.startsWith('# TYPE ')).map((line) => line.split(' ')[2] ?? '');
  const shown = new Set(lines.map((line) => /^[a-z_0-9]+/i.exec(line)?.[0]));
  return families.filter((family) => !shown.has(family)).sort();
}

describe('the workers together show what one unsharded kube-state-metrics shows, line for line', () => {
  test('and again after objects of every kind were changed, deleted, made again and added', async () => {
    const fleets = await Promise.all([EVERYTHING, BY_NAMESPACE].map((each) => GoldenFleet.start(api, each)));
    try {
      await Promise.all(fleets.map(expectEqual));
      for (const fleet of fleets) await report(fleet);
      const [fleet] = fleets;
      if (fleet === undefined) throw new Error('no fleet');
      const kinds = new Set([...cluster.kinds, ...cluster.absent].map(({ plural }) => plural));
      expect(defaultResources(fleet).filter((resource) => !kinds.has(resource))).toEqual([]);
      expect(defaultResources(fleet).length).toBeGreaterThan(30);
      const absent = cluster.absent.map(({ kind }) => `kube_${kind.toLowerCase()}_`);
      const isThere = (family: string): boolean => !absent.some((prefix) => family.startsWith(prefix));
      const minor = minorVersion(resolveBinary('kube-apiserver'));
      const gated = Object.entries(GATED_FAMILIES).flatMap(([family, since]) => (minor < since ? [family] : []));
      const empty = [...EMPTY_FAMILIES, ...gated].filter(isThere).sort();
      expect((await emptyFamilies(fleet)).filter(isThere)).toEqual(empty);
      await cluster.churn();
      await Promise.all(fleets.map(expectEqual));
      for (const fleet of fleets) await report(fleet);
    } finally {
      await Promise.all(fleets.map((fleet) => fleet.stop()));
    }
  });

  test('in every case', { timeout: (1 + cases.length) * 60_000 }, async () => {
    expect(cases).not.toEqual([]);
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
