import type { KubernetesClient } from '@shard-controller/shared/kubernetes';
import { createLogger } from '@shard-controller/shared/observability';
import { elapse, waitUntil } from '@shard-controller/shared/testing';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startApiServer, type StandaloneApiServer } from '../cluster/standalone-api-server.ts';
import { Churn, Workload } from '../workload/index.ts';
import { clientOf, Exporter, kubeconfigOf, slots, WorkerRig } from './exporter-rig.ts';
import { seriesKey, SeriesSampler } from './series-sampler.ts';
import { SilentForwarder } from './silent-forwarder.ts';
import { SwitchingForwarder } from './switching-forwarder.ts';

const CONFIG_MAPS = '/api/v1/namespaces/default/configmaps';
const logger = createLogger({ name: 'test', level: 'error' });

let api: StandaloneApiServer;
let front: SwitchingForwarder;
let client: KubernetesClient;
let workload: Workload;
let rig: WorkerRig;
let epoch = 0;

beforeAll(async () => {
  api = await startApiServer();
  front = await SwitchingForwarder.start(api.server);
  client = clientOf(api, logger, 'workload');
  workload = new Workload({ client, seed: 3, pods: 100, nodes: 2, namespaces: 2 });
  await workload.define();
  await workload.populate();
  rig = await WorkerRig.create('worker', { server: front.url, ca: api.ca, adminToken: api.adminToken });
  startPlane();
  await rig.startExporter();
  await waitUntil('the worker is warm', isWarm);
  await api.backup();
});

afterAll(async () => {
  await Promise.allSettled([rig?.stop()]);
  await client?.close();
  await front?.stop();
  await api?.stop();
});

function startPlane(): void {
  rig.startPlane();
  rig.assign({ epoch: ++epoch, owned: slots(0, 256) });
}

const isWarm = (): boolean => {
  const { warm, slots: count } = rig.plane.status();
  return warm && count.assigned === count.acknowledged;
};

const versionNow = async (query: Record<string, string> = {}, by = client): Promise<number> => {
  const list = await by.get<{ metadata: { resourceVersion: string } }>(CONFIG_MAPS, { query });
  return Number(list.metadata.resourceVersion);
};

/** Objects come, go and change until 200 revisions have passed. */
async function live(): Promise<void> {
  const until = (await versionNow()) + 200;
  const stop = new AbortController();
  const running = new Churn(workload, 100).run(stop.signal);
  await expect.poll(() => versionNow()).toBeGreaterThan(until);
  stop.abort();
  await running;
}

/** Series that the worker's exporter lacks or has too much beside one that has just started on the API server itself. */
async function expectTruth(): Promise<void> {
  const reference = await Exporter.create('reference', api.server, kubeconfigOf(api));
  try {
    reference.start();
    await expect
      .poll(
        async () => {
          const [all, shown] = await Promise.all([reference.series(), rig.exporter.series()]);
          const [expected, seen] = [new Set(all), new Set(shown)];
          return {
            missing: all.filter((line) => !seen.has(line)).slice(0, 5),
            extra: shown.filter((line) => !expected.has(line)).slice(0, 5),
            isWhole: all.length > 1_000,
          };
        },
        { interval: 200 },
      )
      .toEqual({ missing: [], extra: [], isWhole: true });
  } finally {
    await reference.stop();
  }
}

test('the restore of an etcd backup is followed: what it undid is undone, and no other series is missing meanwhile', async () => {
  const before = new Set((await rig.exporter.series()).map(seriesKey));
  await live();
  const lost = await versionNow();
  await expect.poll(() => rig.plane.status().staleFeeds).toEqual([]);
  // Without a uid the series of an object that was made again under its name has a gap, as it has in Kubernetes.
  const isKept = (key: string): boolean => before.has(key) && key.includes('uid="');
  const kept = (await rig.exporter.series()).map(seriesKey).filter(isKept);
  expect(kept.length).toBeGreaterThan(500);
  const sampler = new SeriesSampler([rig.exporter], undefined, new Set(kept));
  await api.restore();
  expect(await versionNow()).toBeLessThan(lost);
  await expectTruth();
  expect(await sampler.stop()).toMatchObject({ missingMax: 0, examples: [], failures: [] });
  expect(rig.relists).toContain('restored');
  expect(isWarm()).toBe(true);
  // Life goes on from there, long before the lost version is reached again.
  await client.create(CONFIG_MAPS, { metadata: { name: 'after' } });
  expect(await versionNow()).toBeLessThan(lost);
  await expectTruth();
});

test('a worker that was away meanwhile has its exporter list again, which holds what nobody can tell it to forget', async () => {
  await live();
  await rig.stopPlane();
  await api.restore();
  startPlane();
  await expectTruth();
  await expect.poll(isWarm).toBe(true);
});

test('an API server replica that lags behind rolls nothing back', async () => {
  const { hostname: host, port } = new URL(api.etcd);
  const wire = await SilentForwarder.start({ host, port: Number(port) });
  const behind = await api.addReplica({}, `http://127.0.0.1:${wire.port}`);
  const behindClient = clientOf({ ...api, server: behind, ca: api.ca, adminToken: api.adminToken }, logger, 'behind');
  try {
    rig.relists.length = 0;
    wire.silenceAll();
    await live();
    await expectTruth();
    const cached = await versionNow({ resourceVersion: '0' }, behindClient);
    expect(cached).toBeLessThan(await versionNow());
    const shown = new Set((await rig.exporter.series()).map(seriesKey));
    const sampler = new SeriesSampler([rig.exporter], undefined, shown);
    front.switchTo(behind);
    front.cut();
    // Every feed watches the old cache, and has asked it in vain where it stands.
    await elapse(12_000);
    await client.create(CONFIG_MAPS, { metadata: { name: 'unheard' } });
    expect(rig.relists).not.toContain('restored');
    wire.heal();
    await expectTruth();
    expect(await sampler.stop()).toMatchObject({ missingMax: 0, examples: [], failures: [] });
    expect(rig.relists).not.toContain('restored');
  } finally {
    await behindClient.close();
    await wire.stop();
  }
});
