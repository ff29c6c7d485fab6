import type { Heartbeat } from '@shard-controller/shared/contracts';
import { elapse } from '@shard-controller/shared/testing';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { definition, GOLDEN_GROUP, GOLDEN_STATE, LATE } from '../golden/custom-kinds.ts';
import { Exporter, kubeconfigOf } from '../worker/exporter-rig.ts';
import { type ScrapeReport, SteadyScraper } from './steady-scraper.ts';
import { assignment, SLOT_COUNT, slots, WorkerFixture, type WorkerPod } from './worker-fixture.ts';

const DEFINITIONS = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';
const LATE_PATH = `${DEFINITIONS}/${LATE.metadata.name}`;
const LATES = `/apis/${GOLDEN_GROUP}/v1/namespaces/default/lates`;
const STATE_FLAG = `--custom-resource-state-config=${GOLDEN_STATE}`;
/** Prometheus' own default. */
const TIMEOUT_MS = 10_000;
const INTERVAL_MS = 600;
/** What it leaves out, it leaves out briefly. */
const PEER_INTERVAL_MS = 40;
const LATE_OBJECTS = 20;
/** As when an operator is installed: longer than any scrape is held. */
const BURST = 12;
const BURST_INTERVAL_MS = 800;

let fixture: WorkerFixture;
let plain: Exporter;
let pods: readonly WorkerPod[];
let heard: readonly Heartbeat[][];

beforeAll(async () => {
  fixture = await WorkerFixture.start();
  await fixture.grant('golden', [{ apiGroups: [GOLDEN_GROUP], resources: ['*'], verbs: ['get', 'list', 'watch'] }]);
  await fixture.createConfigMaps('map', 300);
  plain = await Exporter.create('plain', fixture.apiServer.server, kubeconfigOf(fixture.apiServer), [STATE_FLAG]);
  plain.start();
  const halves = [slots(0, SLOT_COUNT / 2), slots(SLOT_COUNT / 2, SLOT_COUNT)];
  heard = halves.map((_, i) => fixture.heartbeats(`shard-00${i}`));
  pods = await Promise.all(
    halves.map(async (owned, ordinal) => {
      await fixture.writeInstance(assignment(`shard-00${ordinal}`, 1, owned));
      // What is held is held for this reason alone.
      const env = { CUSTOM_RESOURCES: `*.${GOLDEN_GROUP}`, SCRAPE_HOLD_MS: '0' };
      return await fixture.pod({ ordinal, env, exporterArgs: [STATE_FLAG] });
    }),
  );
});

afterAll(async () => {
  await plain?.stop();
  await fixture?.stop();
});

/** Samples of one scrape that nothing changes during this test; the API server renews its own Lease. */
async function lasting(url: string): Promise<ReadonlySet<string>> {
  const text = await (await fetch(url)).text();
  return new Set(text.split('\n').filter((line) => line !== '' && !/^(#|kube_lease_|golden_late_)/.test(line)));
}

/** How often each worker has closed its gateway and opened it again. */
const reopened = (): number[] =>
  heard.map((beats) => {
    const states = beats.map(({ gateway }) => gateway.state);
    return states.filter((state, i) => state === 'serving' && states[i - 1] === 'warming').length;
  });

/** Does `change`, and waits until the exporter of each worker has started over because of it. */
async function startedOver(change: () => Promise<unknown>): Promise<void> {
  const before = reopened();
  await change();
  await expect.poll(() => reopened().every((count, i) => count > (before[i] ?? 0))).toBe(true);
}

async function serveVersions(versions: readonly string[]): Promise<void> {
  const { kind, plural } = LATE.spec.names;
  const { spec } = definition({ kind, plural, scope: 'Namespaced', versions });
  await fixture.admin.patch(LATE_PATH, { spec: { versions: spec.versions } });
}

async function lateSeries(): Promise<number> {
  const texts = await Promise.all(pods.map((pod) => pod.scrape()));
  return texts.flatMap(({ text }) => text.split('\n')).filter((line) => line.startsWith('golden_late_size{')).length;
}

test('a kind that the exporters’ config names appears, changes and goes, and every scrape meanwhile is whole', async () => {
  await expect.poll(() => heard.map((beats) => beats.at(-1)?.gateway.state)).toEqual(['serving', 'serving']);
  const workers = pods.map(({ ports }) => `http://127.0.0.1:${ports.gateway}/metrics`);
  const urls = [...workers, `http://127.0.0.1:${plain.port}/metrics`];
  const targets = await Promise.all(
    urls.map(async (url, i) => {
      const intervalMs = i < workers.length ? INTERVAL_MS : PEER_INTERVAL_MS;
      return new SteadyScraper({ url, expected: await lasting(url), intervalMs, timeoutMs: TIMEOUT_MS });
    }),
  );

  await startedOver(() => fixture.admin.create(DEFINITIONS, LATE));
  await expect.poll(() => fixture.admin.find(LATES)).toBeDefined();
  for (let i = 0; i < LATE_OBJECTS; i++) {
    const metadata = { name: `late-${i}` };
    await fixture.admin.create(LATES, { apiVersion: `${GOLDEN_GROUP}/v1`, kind: 'Late', metadata, spec: { size: i } });
  }
  await expect.poll(lateSeries).toBe(LATE_OBJECTS);

  await startedOver(async () => {
    for (let i = 1; i <= BURST; i++) {
      await serveVersions(i % 2 === 1 ? ['v1', 'v2'] : ['v1']);
      await elapse(BURST_INTERVAL_MS);
    }
  });
  await startedOver(() => fixture.admin.delete(LATE_PATH));
  await expect.poll(lateSeries).toBe(0);

  const peerSeries = (await lasting(urls.at(-1) ?? '')).size;
  const reports = await Promise.all(targets.map((target) => target.stop()));
  const [first, second, peer] = reports as [ScrapeReport, ScrapeReport, ScrapeReport];
  console.log(
    `definitions: ${first.scrapes} scrapes of each worker, the longest took ${Math.max(first.longestMs, second.longestMs)} ms; plain ` +
      `kube-state-metrics: ${peer.partial} of ${peer.scrapes} scrapes partial, up to ${peer.missingMax} of ${peerSeries} series missing`,
  );
  for (const report of [first, second]) expect(report).toMatchObject({ failed: [], missingMax: 0, missing: [] });
});
