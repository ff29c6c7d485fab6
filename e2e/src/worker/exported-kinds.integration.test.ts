import { type KubernetesClient, KubernetesError } from '@shard-controller/shared/kubernetes';
import { createLogger } from '@shard-controller/shared/observability';
import { elapse } from '@shard-controller/shared/testing';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startApiServer, type StandaloneApiServer } from '../cluster/standalone-api-server.ts';
import { Churn, CUSTOM_GROUP, Workload, WIDGET_DEFINITION } from '../workload/index.ts';
import { clientOf, Exporter, kubeconfigOf, slots, WORKLOAD_FLAGS, WorkerRig } from './exporter-rig.ts';
import { release, verifyMove } from './verified-move.ts';

/** `make wide` asks for hundreds; `make test` for as many as pass the old limits of a message and of a feed's watches. */
const NAMESPACES = Number(process.env['NAMESPACES'] ?? '60');
const KINDS = Number(process.env['KINDS'] ?? '40');
const PODS = 240;
const MOVED = slots(96, 128);
const STAYING = [...slots(0, 96), ...slots(128, 256)];
const LIMIT_MS = 120_000 + 500 * KINDS;

/** Further custom kinds beside the workload's widgets. */
const custom = (i: number) => ({ plural: `gears${i}`, kind: `Gear${i}` });
const NUMBERS = Array.from({ length: KINDS }, (_, i) => i);
/** All kinds of the group, however many. */
const EVERY_CUSTOM_KIND = `kind: CustomResourceStateMetrics
spec:
  resources:
    - groupVersionKind: { group: ${CUSTOM_GROUP}, version: v1, kind: "*" }
      labelsFromPath: { name: [metadata, name], namespace: [metadata, namespace] }
      metrics:
        - name: size
          help: Size
          each: { type: Gauge, gauge: { path: [spec, size], nilIsZero: true } }
`;
const EVERYTHING = [WORKLOAD_FLAGS[0] ?? '', `--custom-resource-state-config=${EVERY_CUSTOM_KIND}`];

let api: StandaloneApiServer;
let client: KubernetesClient;
let workload: Workload;

const teams = (from: number, to: number): string =>
  Array.from({ length: to - from }, (_, i) => `team-${from + i}`).join(',');
const absent = (count: number): string =>
  Array.from({ length: count }, (_, i) => `preview-${String(i).padStart(3, '0')}`).join(',');

async function until(what: () => string, holds: () => boolean | Promise<boolean>, ms = LIMIT_MS): Promise<void> {
  const deadline = performance.now() + ms;
  while (!(await holds())) {
    if (performance.now() > deadline) throw new Error(`not within ${ms} ms: ${what()}`);
    await elapse(50);
  }
}

beforeAll(async () => {
  api = await startApiServer();
  client = clientOf(api, createLogger({ name: 'workload', level: 'warn' }), 'workload');
  workload = new Workload({ client, seed: 5, pods: PODS, nodes: 3, namespaces: NAMESPACES });
  await workload.define();
  const definitions = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';
  const each = async (work: (i: number) => Promise<unknown>): Promise<void> => {
    const queue = NUMBERS.values();
    await Promise.all(
      Array.from({ length: 8 }, async () => {
        for (const i of queue) await work(i);
      }),
    );
  };
  await each((i) => {
    const { plural, kind } = custom(i);
    const names = { kind, listKind: `${kind}List`, plural, singular: plural };
    const metadata = { name: `${plural}.${CUSTOM_GROUP}` };
    return client.create(definitions, { ...WIDGET_DEFINITION, metadata, spec: { ...WIDGET_DEFINITION.spec, names } });
  });
  await workload.populate();
  await each(async (i) => {
    const { plural, kind } = custom(i);
    const namespace = `team-${i % NAMESPACES}`;
    const path = `/apis/${CUSTOM_GROUP}/v1/namespaces/${namespace}/${plural}`;
    const object = {
      apiVersion: `${CUSTOM_GROUP}/v1`,
      kind,
      metadata: { name: `gear-${i}`, namespace },
      spec: { size: i },
    };
    await until(
      () => `${plural} is served`,
      async () => {
        try {
          await client.create(path, object);
          return true;
        } catch (error) {
          if (error instanceof KubernetesError && error.status === 404) return false;
          throw error;
        }
      },
    );
  });
}, 2 * LIMIT_MS);

afterAll(async () => {
  await client?.close();
  await api?.stop();
});

/** Two workers whose exporters export this; the first one owns all slots and shows them. */
async function withWorkers(
  sourceFlags: readonly string[],
  targetFlags: readonly string[],
  work: (source: WorkerRig, target: WorkerRig) => Promise<void>,
): Promise<void> {
  const source = await WorkerRig.create('source', api, undefined, sourceFlags);
  const target = await WorkerRig.create('target', api, undefined, targetFlags);
  try {
    source.startPlane();
    target.startPlane();
    source.assign({ epoch: 1, owned: slots(0, 256) });
    target.assign({ epoch: 1, warm: [{ migration: 'm', slots: MOVED }] });
    await source.startExporter();
    await target.startExporter();
    const said = (rig: WorkerRig): string => {
      const { warmReason, feeds, handovers, queueDepth } = rig.plane.status();
      return JSON.stringify({ warmReason, feeds, queueDepth, handovers });
    };
    await until(
      () => `the source is warm: ${said(source)}`,
      () => source.plane.status().warm,
    );
    await until(
      () => `the target acknowledges: ${said(target)}`,
      () => target.plane.status().handovers[0]?.state === 'acknowledged',
    );
    await work(source, target);
  } finally {
    await Promise.all([source.stop(), target.stop()]);
  }
}

async function withChurn<T>(work: () => Promise<T>): Promise<T> {
  const churn = new Churn(workload, 30);
  const stop = new AbortController();
  const running = churn.run(stop.signal);
  try {
    return await work();
  } finally {
    stop.abort();
    await running;
  }
}

describe('a move to a worker that exports something else is verified under churn', () => {
  test.each([
    ['fewer kinds', [], ['--resources=pods,nodes,deployments']],
    ['other namespaces', [`--namespaces=${teams(0, 4)}`], [`--namespaces=${teams(2, 6)}`]],
    ['20 denied namespaces', [], [`--namespaces-denylist=${absent(20)},team-0`]],
    [
      '300 denied namespaces instead of 20',
      [`--namespaces-denylist=${absent(20)}`],
      [`--namespaces-denylist=${absent(300)},team-1`],
    ],
    [
      'some namespaces instead of all but some',
      [`--namespaces-denylist=team-1,team-2`],
      [`--namespaces=${teams(0, 3)}`],
    ],
  ])(
    '%s',
    async (what, before, after) => {
      await withWorkers([...WORKLOAD_FLAGS, ...before], [...WORKLOAD_FLAGS, ...after], async (source, target) => {
        const start = performance.now();
        const result = await withChurn(() => verifyMove(source.plane, target.plane, MOVED, { sameTemplate: false }));
        const ms = Math.round(performance.now() - start);
        console.log(`${what}: verified after ${ms} ms: ${JSON.stringify(result)}`);
        expect(result).toMatchObject({ kind: 'verified', leftOut: { uncounted: [] } });
        const { kinds, leftOut } = result as Extract<typeof result, { kind: 'verified' }>;
        expect(kinds).toBeGreaterThanOrEqual(after[0]?.startsWith('--resources') === true ? 3 : 20);
        expect(leftOut.partly.includes('pods')).toBe(after[0]?.startsWith('--namespaces') === true);
      });
    },
    2 * LIMIT_MS,
  );
});

// A thousand watches for each of two workers and the exporter alone: minutes, so in `make wide` only.
test.runIf(process.env['NAMESPACES'] !== undefined)(
  `${NAMESPACES} namespaces with all kinds: the exposition is that of kube-state-metrics alone, and a move is verified`,
  async () => {
    const flags = [...WORKLOAD_FLAGS, `--namespaces=${teams(0, NAMESPACES)}`];
    expect(await comparedWithPlain(flags)).toBeGreaterThan(20);
  },
  4 * LIMIT_MS,
);

test(
  `${KINDS} custom kinds beside all others, 300 denied namespaces: the same`,
  async () => {
    const kinds = await comparedWithPlain([...EVERYTHING, `--namespaces-denylist=${absent(300)}`]);
    expect(kinds).toBeGreaterThan(KINDS + 20);
  },
  4 * LIMIT_MS,
);

/** Compares the whole exposition, and returns the number of kinds that a move verifies. */
async function comparedWithPlain(flags: readonly string[]): Promise<number> {
  const plain = await Exporter.create('plain', api.server, kubeconfigOf(api), flags);
  plain.start();
  try {
    let kinds = 0;
    await withWorkers(flags, flags, async (source, target) => {
      const result = await withChurn(() => verifyMove(source.plane, target.plane, MOVED));
      expect(result).toMatchObject({ kind: 'verified', leftOut: { sourceOnly: [], targetOnly: [], uncounted: [] } });
      if (result.kind === 'verified') ({ kinds } = result);
      source.assign({ epoch: 2, owned: STAYING, release: [{ migration: 'm', slots: MOVED }] });
      target.assign({ epoch: 2, owned: MOVED });
      await release(source.plane, target.plane, MOVED);
      const sorted = async (exporters: readonly Exporter[]): Promise<string[]> =>
        (await Promise.all(exporters.map((each) => each.series()))).flat().sort();
      const difference = async (): Promise<string> => {
        const [expected, shown] = await Promise.all([sorted([plain]), sorted([source.exporter, target.exporter])]);
        const [wanted, has] = [new Set(expected), new Set(shown)];
        const missing = expected.filter((line) => !has.has(line));
        const extra = shown.filter((line) => !wanted.has(line));
        return expected.length === 0 || missing.length + extra.length > 0 || shown.length !== expected.length
          ? `${shown.length} of ${expected.length}; missing ${missing.slice(0, 3).join()}; extra ${extra.slice(0, 3).join()}`
          : '';
      };
      await expect.poll(difference, { interval: 500 }).toBe('');
    });
    return kinds;
  } finally {
    await plain.stop();
  }
}
