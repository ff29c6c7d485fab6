import { readFileSync } from 'node:fs';
import { createLogger } from '@shard-controller/shared/observability';
import type { KubernetesClient } from '@shard-controller/shared/kubernetes';
import { elapse } from '@shard-controller/shared/testing';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { z } from 'zod';
import { startApiServer, type StandaloneApiServer } from '../cluster/standalone-api-server.ts';
import { type Exchange, type Fault, FaultyFront } from '../faults/faulty-front.ts';
import { exportedKindsRules } from '../install/rights.ts';
import { Churn, CUSTOM_GROUP, Workload } from '../workload/index.ts';
import { clientOf, Exporter, kubeconfigOf, slots, WorkerRig } from './exporter-rig.ts';
import { SeriesSampler } from './series-sampler.ts';
import { release } from './verified-move.ts';

/** Minutes of real processes: `E2E_LONG=1 make integration`. */
const LONG = process.env['E2E_LONG'] === '1';
/** So many that some objects of each kind are in them: a slot that has none of a kind needs no read of it. */
const MOVED = slots(32, 128);
const ROLES = '/apis/rbac.authorization.k8s.io/v1/clusterroles';
const BINDINGS = '/apis/rbac.authorization.k8s.io/v1/clusterrolebindings';
const WIDGETS = `widgets.${CUSTOM_GROUP}`;
const DEFINITION = `/apis/apiextensions.k8s.io/v1/customresourcedefinitions/${WIDGETS}`;

let api: StandaloneApiServer;
let front: FaultyFront;
let client: KubernetesClient;
let worker: KubernetesClient;
let workload: Workload;
let reference: Exporter;
let left: WorkerRig;
let right: WorkerRig;
let epoch = 1;
let moves = 0;
let token = '';

const access = (): { server: string; ca: string; adminToken: string } => ({
  server: `https://127.0.0.1:${front.port}`,
  ca: front.authority,
  adminToken: token,
});

/** Waits until `holds`; fails with the states when it does not in time. */
async function until(what: string, holds: () => boolean | Promise<boolean>, ms = 90_000): Promise<void> {
  const deadline = Date.now() + ms;
  while (!(await holds())) {
    if (Date.now() > deadline) {
      const state = (rig: WorkerRig): string => {
        const { objectsByResource: _, ...status } = rig.plane.status();
        return `${JSON.stringify(status)}\n${readFileSync(rig.exporter.logFile, 'utf8').slice(-1_500)}`;
      };
      throw new Error(`not within ${ms} ms: ${what}\n${state(left)}\n${state(right)}`);
    }
    await elapse(20);
  }
}

interface Difference {
  readonly missing: readonly string[];
  readonly extra: readonly string[];
  readonly doubled: number;
}

const NONE: Difference = { missing: [], extra: [], doubled: 0 };

/** How the workers' series together differ from the reference's, values included. @param broken series to leave out. */
async function difference(broken?: RegExp): Promise<Difference> {
  const [all = [], ...parts] = await Promise.all(
    [reference, left.exporter, right.exporter].map(async (exporter) =>
      (await exporter.series()).filter((line) => broken?.test(line) !== true),
    ),
  );
  const expected = new Set(all);
  const union = parts.flat();
  const shown = new Set(union);
  return {
    missing: all.filter((line) => !shown.has(line)).slice(0, 5),
    extra: union.filter((line) => !expected.has(line)).slice(0, 5),
    doubled: union.length - shown.size,
  };
}

const isWarm = (rig: WorkerRig): boolean => {
  const { warm, slots: count } = rig.plane.status();
  return warm && count.assigned === count.acknowledged;
};

type Handovers = ReturnType<WorkerRig['plane']['status']>['handovers'];

const handoverOf = (rig: WorkerRig, migration: string): Handovers[number] | undefined =>
  rig.plane.status().handovers.find((each) => each.migration === migration);

const unavailable = (rig: WorkerRig): string[] =>
  (rig.plane.status().unavailable ?? []).map(({ kind, cause }) => `${kind}: ${cause}`);

/** Notes every time that a worker cannot be scraped or is not ready from now on. */
function notes(...rigs: readonly WorkerRig[]): { readonly cold: string[]; stop(): void } {
  const cold: string[] = [];
  const ends = rigs.map(({ plane }) =>
    plane.onChange(() => {
      const { warm, warmReason, slots: count, feeds } = plane.status();
      const isReady = count.assigned === count.acknowledged && feeds.synced === feeds.total;
      if (!warm || !isReady) cold.push(`${warmReason} ${JSON.stringify(count)} ${JSON.stringify(feeds)}`);
    }),
  );
  return { cold, stop: () => ends.forEach((end) => end()) };
}

/** Three quarters of one side's slots, from the one that has them to the other; returns what the target said. */
async function move(from: WorkerRig, to: WorkerRig, meanwhile?: () => Promise<void>): Promise<Handovers[number]> {
  const migration = `m${++moves}`;
  const [fromRest, toRest] = from === left ? [slots(0, 32), slots(128, 256)] : [slots(128, 256), slots(0, 32)];
  to.assign({ epoch: ++epoch, owned: toRest, warm: [{ migration, slots: MOVED }] });
  await meanwhile?.();
  await until(`${migration} is acknowledged`, () => handoverOf(to, migration)?.state === 'acknowledged');
  const said = handoverOf(to, migration);
  to.assign({ epoch: ++epoch, owned: [...toRest, ...MOVED].sort((a, b) => a - b) });
  from.assign({ epoch: ++epoch, owned: fromRest, release: [{ migration, slots: MOVED }] });
  await release(from.plane, to.plane, MOVED, migration);
  from.assign({ epoch: ++epoch, owned: fromRest });
  if (said === undefined) throw new Error('the target said nothing');
  return said;
}

async function withChurn<T>(work: () => Promise<T>): Promise<T> {
  const stop = new AbortController();
  const running = new Churn(workload, 30).run(stop.signal);
  try {
    return await work();
  } finally {
    stop.abort();
    await running;
  }
}

/** Does `work` and expects that no series of the other kinds was away from the exporters meanwhile. */
async function losesNothingBut(broken: RegExp, work: () => Promise<void>): Promise<void> {
  const others = { series: async () => (await reference.series()).filter((line) => !broken.test(line)) };
  const sampler = new SeriesSampler([left.exporter, right.exporter], others);
  try {
    await work();
  } catch (error) {
    await sampler.stop();
    throw error;
  }
  const report = await sampler.stop();
  expect({ ...report, samples: report.samples > 0 }).toEqual({
    samples: true,
    missingMax: 0,
    examples: [],
    failures: [],
  });
}

/** What the workers' user may read: everything that is exported, less `taken`. */
async function grant(taken: string): Promise<void> {
  const rules = exportedKindsRules([{ group: CUSTOM_GROUP, resources: ['widgets'] }]).map((rule) => ({
    ...rule,
    resources: rule.resources.filter((resource) => resource !== taken),
  }));
  await client.patch(`${ROLES}/workers`, { rules }, { contentType: 'application/merge-patch+json' });
}

const mayList = async (path: string): Promise<boolean> => {
  try {
    await worker.list(path, { query: { limit: '1' } });
    return true;
  } catch {
    return false;
  }
};

beforeAll(async () => {
  if (!LONG) return;
  api = await startApiServer();
  front = await FaultyFront.start({ target: () => api });
  client = clientOf(api, createLogger({ name: 'workload', level: 'warn' }), 'workload');
  token = api.tokenFor('worker');
  worker = clientOf(
    { server: api.server, ca: api.ca, adminToken: token },
    createLogger({ name: 'worker', level: 'fatal' }),
    'worker',
  );
  const rbac = { apiVersion: 'rbac.authorization.k8s.io/v1', metadata: { name: 'workers' } };
  await client.create(ROLES, { ...rbac, kind: 'ClusterRole', rules: [] });
  await grant('');
  await client.create(BINDINGS, {
    ...rbac,
    kind: 'ClusterRoleBinding',
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'workers' },
    subjects: [{ apiGroup: 'rbac.authorization.k8s.io', kind: 'User', name: 'worker' }],
  });
  workload = new Workload({ client, seed: 7, pods: 400, nodes: 5, namespaces: 4 });
  await workload.define();
  await workload.populate();
  reference = await Exporter.create('reference', api.server, kubeconfigOf(api));
  left = await WorkerRig.create('left', access());
  right = await WorkerRig.create('right', access());
  for (const rig of [left, right]) rig.startPlane();
  left.assign({ epoch, owned: slots(0, 128) });
  right.assign({ epoch, owned: slots(128, 256) });
  reference.start();
  await Promise.all([left, right].map((rig) => rig.startExporter()));
  await until('both are warm', () => isWarm(left) && isWarm(right));
});

afterAll(async () => {
  await Promise.allSettled([left, right, reference].map((each) => each?.stop()));
  await front?.stop();
  await Promise.allSettled([client?.close(), worker?.close()]);
  await api?.stop();
});

test.runIf(LONG)('two workers show what one exporter shows', async () => {
  await expect.poll(() => difference()).toEqual(NONE);
});

const CONFIGMAPS = /^kube_configmap_/;

test.runIf(LONG)(
  'a right that is taken away costs its kind only: moves, a new worker, restarts; given back, it mends',
  async () => {
    await grant('configmaps');
    await until('the right is gone', async () => !(await mayList('/api/v1/configmaps')));
    const noted = notes(left, right);
    await withChurn(() =>
      losesNothingBut(CONFIGMAPS, async () => {
        // Its open watch goes on: only the move meets the refusal.
        expect(await move(left, right)).toMatchObject({ without: 1 });
        expect(right.plane.status().unavailable).toMatchObject([
          {
            kind: 'configmaps',
            cause: 'forbidden',
            message: expect.stringMatching(
              /^configmaps .*is forbidden: User "worker" cannot .*Remedy: grant .*get, list/,
            ),
          },
        ]);
        expect(await move(right, left)).toMatchObject({ without: 1 });
      }),
    );
    expect(noted.cold).toEqual([]);
    noted.stop();
    // A restart of the API server, which refuses everything for a moment, leaves no other kind out.
    await losesNothingBut(CONFIGMAPS, async () => {
      expect(await move(left, right, () => api.restart())).toMatchObject({ without: 1 });
      await move(right, left);
    });
    expect([unavailable(left), unavailable(right)]).toEqual([['configmaps: forbidden'], ['configmaps: forbidden']]);

    const fresh = await WorkerRig.create('fresh', access());
    try {
      fresh.startPlane();
      fresh.assign({ epoch: ++epoch, owned: slots(0, 64) });
      await fresh.startExporter();
      await until('a worker that never could read it is warm', () => isWarm(fresh));
      expect(unavailable(fresh)).toEqual(['configmaps: forbidden']);
      expect((await fresh.exporter.series()).some((line) => line.startsWith('kube_pod_info'))).toBe(true);
      // Its exporter lists configmaps from nothing again and again, which says nothing of its other kinds.
      const before = fresh.plane.status().unavailable ?? [];
      await fresh.stopPlane();
      fresh.startPlane();
      fresh.plane.presumeUnavailable(before);
      fresh.assign({ epoch: ++epoch, owned: slots(0, 64) });
      await until('a restarted worker is warm', () => fresh.plane.status().warm);
      const after = notes(fresh);
      await until('all slots are acknowledged', () => isWarm(fresh));
      expect(after.cold.filter((text) => !text.startsWith(' '))).toEqual([]);
      after.stop();

      await grant('');
      await until('the kind is whole again', () => [left, right, fresh].every((rig) => unavailable(rig).length === 0));
      expect((await fresh.exporter.series()).some((line) => CONFIGMAPS.test(line))).toBe(true);
    } finally {
      await fresh.stop();
    }
    await expect.poll(() => difference()).toEqual(NONE);
  },
);

const SERVICES = /^kube_service_/;

test.runIf(LONG)('a kind that is silent costs that kind only, and comes back', async () => {
  const held: Exchange[] = [];
  const deaf: Fault = {
    name: 'deaf',
    begin: ({ streams }) => {
      for (const stream of streams) if (stream.path === '/api/v1/services') stream.hold();
    },
    take: (exchange) => {
      if (!/\/services(\/|$)/.test(exchange.url.pathname)) return false;
      held.push(exchange);
      return true;
    },
    end: ({ streams }) => {
      for (const exchange of held) exchange.reset();
      for (const stream of streams) if (stream.path === '/api/v1/services') stream.reset();
    },
  };
  await front.inject(deaf);
  await losesNothingBut(SERVICES, async () => {
    const noted = notes(left, right);
    expect(await move(left, right)).toMatchObject({ without: 1 });
    expect(unavailable(right)).toEqual(['services: silent']);
    await move(right, left);
    expect(noted.cold).toEqual([]);
    noted.stop();
  });
  await front.lift(deaf);
  await until('the kind is whole again', () => [left, right].every((rig) => unavailable(rig).length === 0));
  await expect.poll(() => difference()).toEqual(NONE);
});

const namedSchema = z.looseObject({ metadata: z.looseObject({ namespace: z.string(), name: z.string() }) });

const WIDGET_SERIES = /^kube_customresource_/;

test.runIf(LONG)('a conversion webhook that is gone costs its kind only, and comes back', async () => {
  const merge = { contentType: 'application/merge-patch+json' } as const;
  // Stored in another version than the exporter reads, so that its conversion can break.
  const { spec } = z
    .object({ spec: z.object({ versions: z.array(z.looseObject({})) }) })
    .parse(await client.get(DEFINITION));
  const [first] = spec.versions;
  const versions = [
    { ...first, storage: false },
    { ...first, name: 'v2', storage: true },
  ];
  await client.patch(DEFINITION, { spec: { versions } }, merge);
  const annotations = { stored: 'again' };
  await until('the new version is served', () => mayList(`/apis/${CUSTOM_GROUP}/v2/widgets`));
  const { items } = await client.list(`/apis/${CUSTOM_GROUP}/v1/widgets`);
  for (const item of items) {
    const { metadata } = namedSchema.parse(item);
    const path = `/apis/${CUSTOM_GROUP}/v1/namespaces/${metadata.namespace}/widgets/${metadata.name}`;
    await client.patch(path, { metadata: { annotations } }, merge);
  }
  await until('both are warm', () => isWarm(left) && isWarm(right));
  const webhook = { clientConfig: { url: 'https://127.0.0.1:1/convert' }, conversionReviewVersions: ['v1'] };
  await client.patch(DEFINITION, { spec: { conversion: { strategy: 'Webhook', webhook } } }, merge);
  // A moment of it comes with any change of a definition.
  let failed = 0;
  await until('the kind cannot be listed any more', async () => {
    failed = (await mayList(`/apis/${CUSTOM_GROUP}/v1/widgets`)) ? 0 : failed + 1;
    return failed >= 20;
  });
  expect(await move(left, right)).toMatchObject({ without: 1 });
  expect(right.plane.status().unavailable).toMatchObject([
    { kind: WIDGETS, cause: 'failing', message: expect.stringContaining('conversion webhook') },
  ]);
  await move(right, left);
  await until('both are warm', () => isWarm(left) && isWarm(right));
  await expect.poll(() => difference(WIDGET_SERIES)).toEqual(NONE);
  await client.patch(DEFINITION, { spec: { conversion: { strategy: 'None', webhook: null } } }, merge);
  await until('the kind is whole again', () => [left, right].every((rig) => unavailable(rig).length === 0));
  await expect.poll(() => difference()).toEqual(NONE);
});

test.runIf(LONG)('a kind whose definition is deleted costs that kind only', async () => {
  await client.delete(DEFINITION);
  await until('the kind is gone', async () => !(await mayList(`/apis/${CUSTOM_GROUP}/v1/widgets`)));
  await move(left, right);
  await move(right, left);
  await until('both are warm', () => isWarm(left) && isWarm(right));
  await expect.poll(() => difference()).toEqual(NONE);
});
