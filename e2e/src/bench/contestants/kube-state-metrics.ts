import { resourcePath } from '@shard-controller/shared/kubernetes';
import { referenceExporterPod } from '../../install/index.ts';
import { CUSTOM_RESOURCE_STATE, LABELS_ALLOWLIST } from '../../workload/index.ts';
import { type BenchPod, NAMESPACE, REFERENCE_NODE, type Stage } from '../stage.ts';
import { z } from 'zod';
import { type Contestant, type ExporterOptions, METRICS_PORT } from './contestant.ts';

const LABEL = 'bench.shard.io/contestant';
const PORT_NAME = 'http-metrics';

/** Whether an object has a status with this many ready replicas, and no others. */
const statefulSetSchema = z.looseObject({
  spec: z.looseObject({ replicas: z.number() }),
  status: z.looseObject({ replicas: z.number().default(0), readyReplicas: z.number().default(0) }).prefault({}),
});

function podTemplate(name: string, options: ExporterOptions, args: readonly string[], env: readonly unknown[]) {
  const pod = referenceExporterPod({
    namespace: NAMESPACE,
    name,
    labelsAllowlist: LABELS_ALLOWLIST,
    customResourceState: CUSTOM_RESOURCE_STATE,
    extraArgs: [
      ...args,
      ...(options.metricAllowlist === undefined ? [] : [`--metric-allowlist=${options.metricAllowlist.join(',')}`]),
      ...(options.resources === undefined ? [] : [`--resources=${options.resources.join(',')}`]),
    ],
  });
  const spec = specSchema.parse(pod['spec']);
  return {
    metadata: { labels: { [LABEL]: name } },
    spec: { ...spec, containers: spec.containers.map((container) => ({ ...container, env })) },
  };
}

const specSchema = z.looseObject({ containers: z.array(z.looseObject({})) });

function service(name: string) {
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name, namespace: NAMESPACE },
    spec: {
      clusterIP: 'None',
      publishNotReadyAddresses: true,
      selector: { [LABEL]: name },
      ports: [{ name: PORT_NAME, port: METRICS_PORT, targetPort: PORT_NAME }],
    },
  };
}

/** One kube-state-metrics that reads everything, on the node for references. */
export class PlainExporter implements Contestant {
  readonly name: string;
  readonly service: string;
  readonly knowsWhenComplete = false;
  readonly #stage: Stage;
  readonly #options: ExporterOptions;

  constructor(stage: Stage, name: string, options: ExporterOptions = {}) {
    this.#stage = stage;
    this.name = name;
    this.service = name;
    this.#options = options;
  }

  async start(): Promise<void> {
    const { metadata, spec } = podTemplate(this.name, this.#options, [], []);
    await this.#stage.apply(service(this.name));
    await this.#stage.apply({
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { ...metadata, name: this.name, namespace: NAMESPACE },
      spec: { ...spec, nodeName: REFERENCE_NODE },
    });
  }

  async ready(): Promise<boolean> {
    const pods = await this.pods();
    return pods.length === 1 && pods.every((pod) => pod.ready);
  }

  pods(): Promise<readonly BenchPod[]> {
    return this.#stage.pods(`${LABEL}=${this.name}`);
  }

  scale(): Promise<void> {
    throw new Error('one kube-state-metrics cannot be scaled');
  }

  async remove(): Promise<void> {
    await this.#stage.remove(path('pods', this.name, ''), `${LABEL}=${this.name}`);
    await this.#stage.remove(path('services', this.name, ''), `${LABEL}=${this.name}`);
  }
}

/** kube-state-metrics' own automatic sharding: a StatefulSet whose pods read their ordinal and its number of replicas. */
export class Autosharded implements Contestant {
  readonly name: string;
  readonly service: string;
  readonly knowsWhenComplete = false;
  readonly #stage: Stage;
  readonly #options: ExporterOptions;
  readonly #shards: number;

  constructor(stage: Stage, name: string, shards: number, options: ExporterOptions = {}) {
    this.#stage = stage;
    this.name = name;
    this.service = name;
    this.#shards = shards;
    this.#options = options;
  }

  async start(): Promise<void> {
    for (const object of rights(this.name)) await this.#stage.apply(object);
    await this.#stage.apply(service(this.name));
    const field = (fieldPath: string) => ({ valueFrom: { fieldRef: { fieldPath } } });
    const env = [
      { name: 'POD_NAME', ...field('metadata.name') },
      { name: 'POD_NAMESPACE', ...field('metadata.namespace') },
    ];
    const args = ['--pod=$(POD_NAME)', '--pod-namespace=$(POD_NAMESPACE)'];
    await this.#stage.apply({
      apiVersion: 'apps/v1',
      kind: 'StatefulSet',
      metadata: { name: this.name, namespace: NAMESPACE },
      spec: {
        replicas: this.#shards,
        serviceName: this.name,
        podManagementPolicy: 'Parallel',
        selector: { matchLabels: { [LABEL]: this.name } },
        template: podTemplate(this.name, this.#options, args, env),
      },
    });
  }

  async ready(): Promise<boolean> {
    const object = await this.#stage.cluster.admin.get(path('statefulsets', this.name, 'apps'));
    const { spec, status } = statefulSetSchema.parse(object);
    return status.replicas === spec.replicas && status.readyReplicas === spec.replicas;
  }

  pods(): Promise<readonly BenchPod[]> {
    return this.#stage.pods(`${LABEL}=${this.name}`);
  }

  async scale(shards: number): Promise<void> {
    const patch = { spec: { replicas: shards } };
    const contentType = 'application/merge-patch+json';
    await this.#stage.cluster.admin.patch(path('statefulsets', this.name, 'apps'), patch, { contentType });
  }

  async remove(): Promise<void> {
    await this.#stage.remove(path('statefulsets', this.name, 'apps'), `${LABEL}=${this.name}`);
    await this.#stage.remove(path('services', this.name, ''), `${LABEL}=${this.name}`);
  }
}

function path(resource: string, name: string, group: string): string {
  return resourcePath({ group, version: 'v1', resource, namespace: NAMESPACE, name });
}

/** What its documentation asks for: to read its own pod and its StatefulSet. */
function rights(name: string) {
  const group = 'rbac.authorization.k8s.io';
  const metadata = { name, namespace: NAMESPACE };
  return [
    {
      apiVersion: `${group}/v1`,
      kind: 'Role',
      metadata,
      rules: [
        { apiGroups: [''], resources: ['pods'], verbs: ['get'] },
        { apiGroups: ['apps'], resources: ['statefulsets'], verbs: ['get', 'list', 'watch'] },
      ],
    },
    {
      apiVersion: `${group}/v1`,
      kind: 'RoleBinding',
      metadata,
      roleRef: { apiGroup: group, kind: 'Role', name },
      subjects: [{ kind: 'ServiceAccount', name: 'kube-state-metrics-reference', namespace: NAMESPACE }],
    },
  ];
}
