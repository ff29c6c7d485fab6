import { type KubernetesClient, type KubernetesObject } from '@shard-controller/shared/kubernetes';
import { createLogger } from '@shard-controller/shared/observability';
import { systemClock } from '@shard-controller/shared/runtime';
import { createDataPlane, type DataPlane } from '@shard-controller/worker/data-plane';
import { waitUntil } from '@shard-controller/shared/testing';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startApiServer, type StandaloneApiServer } from '../cluster/standalone-api-server.ts';
import { CUSTOM_GROUP, fakeNode, type Kind, KINDS, pathOf, pod, WIDGET_DEFINITION } from '../workload/index.ts';
import { clientOf, Exporter, kubeconfigOf, slots, WORKLOAD_FLAGS } from './exporter-rig.ts';
import { RecordingFront } from './recording-front.ts';

/** Some kinds with keys, some with patterns, one with all, most with none. */
const ALLOWED = new Map([
  ['pods', ['example.com/owner']],
  ['secrets', ['example.com/*']],
  ['namespaces', ['*']],
  ['ingresses', ['example.com/owner', 'example.com/none']],
]);
const ALLOW_LIST = [...ALLOWED].map(([resource, keys]) => `${resource}=[${keys.join(',')}]`).join(',');

const NAMESPACE = 'diet';
const MANAGER = 'diet-test-manager';
const WIDGET_MANAGER = 'widget-test-manager';
const LAST_APPLIED = 'kubectl.kubernetes.io/last-applied-configuration';
/** What only objects that are not on a diet have. */
const MARKS = [MANAGER, 'last-applied-text', 'confidential', 'team-text'];

let api: StandaloneApiServer;
let client: KubernetesClient;
let front: RecordingFront;
let reference: Exporter;
let dieting: Exporter;
let plane: DataPlane;
const stop = new AbortController();
let running: Promise<void> = Promise.resolve();

/** Annotations as tools leave them, those that kube-state-metrics reads by itself among them. */
const annotations = (round: number, team = 'team-text') => ({
  'example.com/owner': `owner-${round}`,
  'example.com/team': team,
  [LAST_APPLIED]: JSON.stringify({ note: 'last-applied-text', round }),
  'kubernetes.io/ingress.class': `legacy-${round}`,
  'volume.beta.kubernetes.io/storage-class': 'beta-class',
  'storageclass.kubernetes.io/is-default-class': 'true',
  'ingressclass.kubernetes.io/is-default-class': 'true',
  'deployment.kubernetes.io/revision': String(round),
});

const INGRESS_CLASS: Kind = {
  apiVersion: 'networking.k8s.io/v1',
  kind: 'IngressClass',
  plural: 'ingressclasses',
  namespaced: false,
  perThousandPods: 1,
  churns: false,
  body: () => ({ spec: { controller: 'example.com/none' } }),
};

interface Sample {
  readonly path: string;
  readonly object: (round: number) => KubernetesObject;
  readonly fieldManager: string;
}

function sampleOf(kind: Kind): Sample {
  const name = `diet-${kind.plural}`;
  const isWidget = kind.apiVersion.startsWith(CUSTOM_GROUP);
  return {
    path: pathOf(kind, NAMESPACE, name),
    fieldManager: isWidget ? WIDGET_MANAGER : MANAGER,
    object: (round) => ({
      apiVersion: kind.apiVersion,
      kind: kind.kind,
      metadata: {
        name,
        ...(kind.namespaced ? { namespace: NAMESPACE } : {}),
        labels: { app: 'diet', round: String(round) },
        annotations: isWidget ? {} : annotations(round, kind.kind === 'Secret' ? 'team-allowed' : undefined),
      },
      ...kind.body(0),
      ...(kind.kind === 'Secret' ? { stringData: { key: `confidential-${round}` } } : {}),
      ...(kind.kind === 'ConfigMap' ? { data: { key: `confidential-${round}` }, binaryData: { b: 'AAEC' } } : {}),
    }),
  };
}

const others: readonly Sample[] = [
  {
    path: `/api/v1/namespaces/${NAMESPACE}/pods/diet-pod`,
    fieldManager: MANAGER,
    object: (round) => {
      const metadata = { name: 'diet-pod', namespace: NAMESPACE, annotations: annotations(round) };
      return { ...pod('diet-pod', NAMESPACE, 'diet-node', {}), apiVersion: 'v1', kind: 'Pod', metadata };
    },
  },
  {
    path: '/api/v1/nodes/diet-node',
    fieldManager: MANAGER,
    object: (round) => {
      const metadata = { name: 'diet-node', annotations: annotations(round) };
      return { ...fakeNode('diet-node'), apiVersion: 'v1', kind: 'Node', metadata };
    },
  },
];

const samples = [...[...KINDS, INGRESS_CLASS].map(sampleOf), ...others];

async function write(round: number): Promise<void> {
  const metadata = { name: NAMESPACE, annotations: { 'example.com/owner': `owner-${round}` } };
  const namespace = { apiVersion: 'v1', kind: 'Namespace', metadata };
  await client.apply({ object: namespace, fieldManager: MANAGER, force: true });
  for (const { object, fieldManager } of samples) {
    await client.apply({ object: object(round), fieldManager, force: true });
  }
}

async function expectEqual(): Promise<void> {
  const both = async (): Promise<{ missing: string[]; extra: string[] }> => {
    const [whole, lean] = await Promise.all([reference.series(), dieting.series()]);
    const expected = new Set(whole);
    const shown = new Set(lean);
    return {
      missing: whole.filter((line) => !shown.has(line)).slice(0, 5),
      extra: lean.filter((line) => !expected.has(line)).slice(0, 5),
    };
  };
  await expect.poll(both, { interval: 100 }).toEqual({ missing: [], extra: [] });
}

beforeAll(async () => {
  api = await startApiServer();
  const logger = createLogger({ name: 'diet', level: 'error' });
  client = clientOf(api, logger, 'diet');
  await client.create('/apis/apiextensions.k8s.io/v1/customresourcedefinitions', WIDGET_DEFINITION);
  const widgets = `/apis/${CUSTOM_GROUP}/v1/widgets`;
  await waitUntil('the custom kind is served', async () => (await client.find(widgets)) !== undefined);
  await write(0);
  const listening = Promise.withResolvers<number>();
  plane = createDataPlane({
    upstream: client,
    logger,
    clock: systemClock,
    host: '127.0.0.1',
    port: 0,
    customResources: [{ group: CUSTOM_GROUP, kind: '*' }],
    pruning: { version: '2.20.0', annotationAllowList: ALLOWED },
    onListening: listening.resolve,
  });
  plane.applyAssignment({
    generation: 1,
    epoch: 1,
    slotCount: 256,
    shardBy: 'uid',
    owned: slots(0, 256),
    warm: [],
    release: [],
  });
  running = plane.run(stop.signal);
  front = await RecordingFront.start(await listening.promise);
  const flags = [`--metric-annotations-allowlist=${ALLOW_LIST}`];
  reference = await Exporter.create('whole', api.server, kubeconfigOf(api), [...WORKLOAD_FLAGS, ...flags]);
  dieting = await Exporter.create('diet', `http://127.0.0.1:${front.port}`, undefined, [...WORKLOAD_FLAGS, ...flags]);
  for (const exporter of [reference, dieting]) exporter.start();
  await waitUntil('the worker is warm', () => plane.status().warm);
});

afterAll(async () => {
  await Promise.allSettled([reference?.stop(), dieting?.stop()]);
  await front?.stop();
  stop.abort();
  await running;
  await client?.close();
  await api?.stop();
});

/** What of the marks is in the bytes. */
const marksIn = (bytes: Buffer): string[] => MARKS.filter((mark) => bytes.includes(mark));

describe('an exporter on a diet', () => {
  test('the API server sends what is to be cut', async () => {
    const read = async (resource: string): Promise<Buffer> => {
      const response = await client.stream({
        path: `/api/v1/namespaces/${NAMESPACE}/${resource}`,
        headers: { accept: 'application/vnd.kubernetes.protobuf', 'accept-encoding': 'identity' },
      });
      const chunks: Buffer[] = [];
      for await (const chunk of response.body) chunks.push(Buffer.from(chunk));
      return Buffer.concat(chunks);
    };
    expect(marksIn(Buffer.concat([await read('secrets'), await read('pods')]))).toEqual(MARKS);
  });

  test('shows the series of one that gets everything, annotations that it reads by itself included', async () => {
    await expectEqual();
    const shown = await dieting.series();
    const series = (name: string): string[] => shown.filter((line) => line.startsWith(`${name}{`));
    expect(shown.length).toBeGreaterThan(150);
    expect(series('kube_ingress_info').join()).toContain('legacy-0');
    expect(series('kube_persistentvolumeclaim_info').join()).toContain('beta-class');
    expect(series('kube_pod_annotations').join()).toContain('annotation_example_com_owner="owner-0"');
    expect(series('kube_namespace_annotations').join()).toContain('annotation_example_com_owner="owner-0"');
    expect(series('kube_ingress_annotations').join()).toContain('annotation_example_com_owner="owner-0"');
    expect(series('kube_secret_annotations').join()).toContain('annotation_example_com_team="team-allowed"');
    expect(series('kube_customresource_size').length).toBeGreaterThan(0);
  });

  test('changes and deletions arrive the same', async () => {
    await write(1);
    await expectEqual();
    expect((await dieting.series()).join('\n')).toContain('legacy-1');
    for (const { path } of samples.slice(0, 12)) await client.delete(path);
    await expectEqual();
    expect((await dieting.series()).some((line) => line.includes('diet-secrets'))).toBe(false);
  });

  test('received nothing that it does not read; kinds of custom-resource-state are whole', () => {
    const recorded = front.recorded();
    expect(recorded.includes('diet-pod')).toBe(true);
    expect(recorded.includes(WIDGET_MANAGER)).toBe(true);
    expect(recorded.includes('team-allowed')).toBe(true);
    expect(marksIn(recorded)).toEqual([]);
  });
});
