/**
 * The objects that the workload is made of: every kind is one that kube-state-metrics exports by default, and none of
 * them makes a controller of the test cluster act (no replicas, paused), so that only the churn changes them.
 */

/** Name of the group of the one custom resource. */
export const CUSTOM_GROUP = 'demo.shard.io';

type Fields = Readonly<Record<string, unknown>>;

export interface Kind {
  readonly kind: string;
  readonly apiVersion: string;
  readonly plural: string;
  readonly namespaced: boolean;
  /** Objects of this kind for every 1,000 pods; at least one is made. */
  readonly perThousandPods: number;
  /** Whether churn creates and deletes objects of it. */
  readonly churns: boolean;
  /** Everything but apiVersion, kind and metadata. */
  readonly body: (index: number) => Fields;
}

const selector = { matchLabels: { app: 'none' } };
const template = { metadata: { labels: { app: 'none' } }, spec: { containers: [{ name: 'app', image: 'app:1' }] } };
const jobTemplate = { ...template, spec: { ...template.spec, restartPolicy: 'Never' } };
const webhook = {
  name: 'none.demo.shard.io',
  admissionReviewVersions: ['v1'],
  sideEffects: 'None',
  failurePolicy: 'Ignore',
  // Matches nothing: the group does not exist.
  rules: [{ apiGroups: ['none.demo.shard.io'], apiVersions: ['v1'], operations: ['CREATE'], resources: ['none'] }],
  clientConfig: { url: 'https://127.0.0.1:1/none' },
};

const of = (
  apiVersion: string,
  kind: string,
  plural: string,
  perThousandPods: number,
  body: (index: number) => Fields,
  more: Partial<Pick<Kind, 'namespaced' | 'churns'>> = {},
): Kind => ({ apiVersion, kind, plural, perThousandPods, body, namespaced: true, churns: true, ...more });

const cluster = { namespaced: false } as const;

/** All kinds but Namespace, Node and Pod, which the populator makes on their own. */
export const KINDS: readonly Kind[] = [
  of('v1', 'ConfigMap', 'configmaps', 60, (i) => ({ data: { key: `value-${i}` } })),
  of('v1', 'Secret', 'secrets', 60, (i) => ({ type: 'Opaque', stringData: { key: `secret-${i}` } })),
  of('v1', 'Service', 'services', 40, () => ({
    spec: { clusterIP: 'None', selector: { app: 'none' }, ports: [{ port: 80 }] },
  })),
  of(
    'v1',
    'PersistentVolumeClaim',
    'persistentvolumeclaims',
    20,
    () => ({
      spec: { accessModes: ['ReadWriteOnce'], storageClassName: 'none', resources: { requests: { storage: '1Gi' } } },
    }),
    { churns: false },
  ),
  of(
    'v1',
    'PersistentVolume',
    'persistentvolumes',
    20,
    (i) => ({
      spec: {
        capacity: { storage: '1Gi' },
        accessModes: ['ReadWriteOnce'],
        storageClassName: 'none',
        hostPath: { path: `/none/${i}` },
      },
    }),
    { namespaced: false, churns: false },
  ),
  of('v1', 'ResourceQuota', 'resourcequotas', 5, (i) => ({
    spec: { hard: { 'count/jobs.batch': String(10_000 + i) } },
  })),
  of('v1', 'LimitRange', 'limitranges', 5, () => ({
    spec: { limits: [{ type: 'Container', max: { cpu: '64', memory: '256Gi' } }] },
  })),
  of('v1', 'ReplicationController', 'replicationcontrollers', 5, () => ({
    spec: { replicas: 0, selector: { app: 'none' }, template },
  })),
  of('apps/v1', 'Deployment', 'deployments', 60, () => ({ spec: { replicas: 0, paused: true, selector, template } })),
  of('apps/v1', 'ReplicaSet', 'replicasets', 60, () => ({ spec: { replicas: 0, selector, template } })),
  of('apps/v1', 'StatefulSet', 'statefulsets', 10, () => ({
    spec: { replicas: 0, serviceName: 'none', selector, template },
  })),
  of('apps/v1', 'DaemonSet', 'daemonsets', 10, () => ({
    spec: { selector, template: { ...template, spec: { ...template.spec, nodeSelector: { none: 'none' } } } },
  })),
  of('batch/v1', 'Job', 'jobs', 20, () => ({ spec: { suspend: true, template: jobTemplate } })),
  of('batch/v1', 'CronJob', 'cronjobs', 10, () => ({
    spec: { suspend: true, schedule: '0 0 1 1 *', jobTemplate: { spec: { template: jobTemplate } } },
  })),
  of('networking.k8s.io/v1', 'Ingress', 'ingresses', 15, (i) => ({
    spec: { defaultBackend: { service: { name: `service-${i}`, port: { number: 80 } } } },
  })),
  of('networking.k8s.io/v1', 'NetworkPolicy', 'networkpolicies', 10, () => ({
    spec: { podSelector: {}, policyTypes: ['Ingress'] },
  })),
  of('policy/v1', 'PodDisruptionBudget', 'poddisruptionbudgets', 5, () => ({ spec: { maxUnavailable: 1, selector } })),
  of('discovery.k8s.io/v1', 'EndpointSlice', 'endpointslices', 20, (i) => ({
    addressType: 'IPv4',
    endpoints: [{ addresses: [`10.90.${(i >> 8) & 255}.${i & 255}`], conditions: { ready: true } }],
    ports: [{ name: 'http', port: 80, protocol: 'TCP' }],
  })),
  of('storage.k8s.io/v1', 'StorageClass', 'storageclasses', 2, () => ({ provisioner: 'demo.shard.io/none' }), cluster),
  of(
    'admissionregistration.k8s.io/v1',
    'ValidatingWebhookConfiguration',
    'validatingwebhookconfigurations',
    2,
    () => ({ webhooks: [webhook] }),
    cluster,
  ),
  of(
    'admissionregistration.k8s.io/v1',
    'MutatingWebhookConfiguration',
    'mutatingwebhookconfigurations',
    2,
    () => ({ webhooks: [webhook] }),
    cluster,
  ),
  of(`${CUSTOM_GROUP}/v1`, 'Widget', 'widgets', 40, (i) => ({
    spec: { size: i % 10, color: ['red', 'green', 'blue'][i % 3] },
  })),
];

/** The custom resource's definition. */
export const WIDGET_DEFINITION = {
  apiVersion: 'apiextensions.k8s.io/v1',
  kind: 'CustomResourceDefinition',
  metadata: { name: `widgets.${CUSTOM_GROUP}` },
  spec: {
    group: CUSTOM_GROUP,
    scope: 'Namespaced',
    names: { kind: 'Widget', listKind: 'WidgetList', plural: 'widgets', singular: 'widget' },
    versions: [
      {
        name: 'v1',
        served: true,
        storage: true,
        subresources: { status: {} },
        schema: {
          openAPIV3Schema: {
            type: 'object',
            properties: {
              spec: { type: 'object', properties: { size: { type: 'integer' }, color: { type: 'string' } } },
              status: { type: 'object', properties: { ready: { type: 'integer' } } },
            },
          },
        },
      },
    ],
  },
} as const;

/** Configuration of kube-state-metrics for the custom resource (its custom-resource-state format). */
export const CUSTOM_RESOURCE_STATE = `kind: CustomResourceStateMetrics
spec:
  resources:
    - groupVersionKind: { group: ${CUSTOM_GROUP}, version: v1, kind: Widget }
      labelsFromPath:
        namespace: [metadata, namespace]
        name: [metadata, name]
      metrics:
        - name: size
          help: Size of a widget
          each: { type: Gauge, gauge: { path: [spec, size] } }
        - name: ready
          help: Ready parts of a widget
          each: { type: Gauge, gauge: { path: [status, ready], nilIsZero: true } }
`;

/** Labels of three kinds are exported, by reference and workers alike. */
export const LABELS_ALLOWLIST: readonly string[] = ['pods=[*]', 'deployments=[*]', 'services=[*]'];

export function pathOf(
  kind: Pick<Kind, 'apiVersion' | 'plural' | 'namespaced'>,
  namespace: string,
  name?: string,
): string {
  const root = kind.apiVersion === 'v1' ? '/api/v1' : `/apis/${kind.apiVersion}`;
  const scope = kind.namespaced ? `/namespaces/${namespace}` : '';
  return `${root}${scope}/${kind.plural}${name === undefined ? '' : `/${name}`}`;
}

export const POD = { apiVersion: 'v1', kind: 'Pod', plural: 'pods', namespaced: true } as const;

/** A pod that is bound to a fake node at creation; kwok plays its kubelet. */
export function pod(name: string, namespace: string, node: string, labels: Readonly<Record<string, string>>): Fields {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace, labels },
    spec: {
      nodeName: node,
      terminationGracePeriodSeconds: 0,
      automountServiceAccountToken: false,
      containers: [
        {
          name: 'app',
          image: 'registry.example/app:1',
          resources: { requests: { cpu: '10m', memory: '16Mi' }, limits: { memory: '32Mi' } },
        },
      ],
    },
  };
}

/** A node that kwok keeps Ready. Its taint keeps away every pod that is not bound to it by hand. */
export function fakeNode(name: string): Fields {
  return {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: {
      name,
      annotations: { 'kwok.x-k8s.io/node': 'fake' },
      labels: { 'kubernetes.io/hostname': name, 'kubernetes.io/os': 'linux', type: 'kwok' },
    },
    spec: { taints: [{ key: 'kwok.x-k8s.io/node', value: 'fake', effect: 'NoSchedule' }] },
    status: {
      capacity: { cpu: '128', memory: '1024Gi', pods: '5000' },
      allocatable: { cpu: '128', memory: '1024Gi', pods: '5000' },
    },
  };
}
