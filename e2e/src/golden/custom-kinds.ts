import type { GoldenKind } from './golden-kind.ts';

export const GOLDEN_GROUP = 'golden.example.com';

const anything = { type: 'object', 'x-kubernetes-preserve-unknown-fields': true } as const;

interface Definition {
  readonly kind: string;
  readonly plural: string;
  readonly scope: 'Namespaced' | 'Cluster';
  readonly group?: string;
  readonly versions?: readonly string[];
  readonly columns?: readonly string[];
}

/** A CustomResourceDefinition whose objects may hold anything. */
export function definition({ kind, plural, scope, group = GOLDEN_GROUP, versions = ['v1'], columns = [] }: Definition) {
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: `${plural}.${group}` },
    spec: {
      group,
      scope,
      names: { kind, plural, singular: kind.toLowerCase(), listKind: `${kind}List` },
      versions: versions.map((name, i) => ({
        name,
        served: true,
        storage: i === 0,
        subresources: { status: {} },
        additionalPrinterColumns: columns.map((column) => ({
          name: column,
          type: 'string',
          jsonPath: `.spec.${column}`,
        })),
        schema: { openAPIV3Schema: { type: 'object', properties: { spec: anything, status: anything } } },
      })),
    },
  };
}

export const FOO = definition({ kind: 'Foo', plural: 'foos', scope: 'Namespaced' });
export const BAR = definition({ kind: 'Bar', plural: 'bars', scope: 'Cluster' });

export const CUSTOM_KINDS: readonly GoldenKind[] = [
  {
    apiVersion: `${GOLDEN_GROUP}/v1`,
    kind: 'Foo',
    plural: 'foos',
    namespaced: true,
    body: (i) => ({
      spec: { version: `v1.${i}`, replicas: i, ratio: i / 3, big: Number.MAX_SAFE_INTEGER - i, active: i % 2 === 0 },
    }),
    patches: (i) => [
      [
        'status',
        {
          status: {
            phase: ['Pending', 'Running', 'Failed'][i % 3],
            sub: { a: { ready: i, id: `a-${i}` }, b: { ready: i + 1, id: `b-${i}` } },
            conditions: [
              { type: 'Ready', status: i % 2 === 0 ? 'True' : 'False' },
              { type: 'Synced', status: 'Unknown' },
            ],
          },
        },
      ],
    ],
  },
  {
    apiVersion: `${GOLDEN_GROUP}/v1`,
    kind: 'Bar',
    plural: 'bars',
    namespaced: false,
    body: (i) => ({ spec: { quota: `${i}Gi`, zone: `zone-${i % 3}` } }),
  },
];

/** In the config, but not in the cluster unless a test puts it there. */
export const LATE = definition({ kind: 'Late', plural: 'lates', scope: 'Namespaced' });

export const GOLDEN_STATE_KINDS = [FOO, BAR, LATE].map(({ spec }) => ({ group: spec.group, kind: spec.names.kind }));

/** Config of kube-state-metrics for these kinds: every type of metric it knows. */
export const GOLDEN_STATE = `kind: CustomResourceStateMetrics
spec:
  resources:
    - groupVersionKind: { group: ${GOLDEN_GROUP}, version: v1, kind: Foo }
      commonLabels: { source: golden }
      labelsFromPath:
        name: [metadata, name]
        namespace: [metadata, namespace]
        "*": [metadata, labels]
      metrics:
        - name: replicas
          help: Replicas
          each: { type: Gauge, gauge: { path: [spec, replicas] } }
        - name: ratio
          help: Ratio
          each: { type: Gauge, gauge: { path: [spec, ratio] } }
        - name: sub_ready
          help: Ready per part
          each: { type: Gauge, gauge: { path: [status, sub], labelFromKey: part, labelsFromPath: { id: [id] }, valueFrom: [ready] } }
        - name: phase
          help: Phase
          each: { type: StateSet, stateSet: { labelName: phase, path: [status, phase], list: [Pending, Running, Failed] } }
        - name: version
          help: Version
          each: { type: Info, info: { path: [spec], labelsFromPath: { version: [version] } } }
        - name: condition
          help: Conditions
          each: { type: Gauge, gauge: { path: [status, conditions], labelsFromPath: { type: [type] }, valueFrom: [status], nilIsZero: true } }
        - name: created
          help: Creation
          each: { type: Gauge, gauge: { path: [metadata, creationTimestamp] } }
    - groupVersionKind: { group: ${GOLDEN_GROUP}, version: v1, kind: Bar }
      labelsFromPath: { name: [metadata, name] }
      metricNamePrefix: golden_bar
      metrics:
        - name: quota
          help: Quota
          each: { type: Gauge, gauge: { path: [spec, quota] } }
        - name: info
          help: Zone
          each: { type: Info, info: { path: [spec], labelsFromPath: { zone: [zone] } } }
    - groupVersionKind: { group: ${GOLDEN_GROUP}, version: v1, kind: Late }
      labelsFromPath: { name: [metadata, name] }
      metricNamePrefix: golden_late
      metrics:
        - name: size
          help: Size
          each: { type: Gauge, gauge: { path: [spec, size] } }
`;
