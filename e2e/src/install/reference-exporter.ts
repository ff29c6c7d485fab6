import { KUBE_STATE_METRICS_IMAGE } from '../cluster/index.ts';
import type { Manifest } from '../chart/render.ts';
import type { PolicyRule } from './rights.ts';

const TOKEN_FOLDER = '/var/run/secrets/kubernetes.io/serviceaccount';

const REFERENCE_ACCOUNT = 'kube-state-metrics-reference';

/** Where the reference serves its metrics and its own telemetry. */
export const REFERENCE_PORTS = { metrics: 8080, telemetry: 8081 } as const;

export interface ReferenceExporterOptions {
  readonly namespace: string;
  readonly name?: string;
  readonly labelsAllowlist?: readonly string[];
  readonly annotationsAllowlist?: readonly string[];
  /** YAML of a CustomResourceStateMetrics. */
  readonly customResourceState?: string;
  readonly extraArgs?: readonly string[];
  /** Bound there by hand instead of scheduled. */
  readonly nodeName?: string;
}

/** A Pod of one unsharded kube-state-metrics that reads the API server itself: what the shards together must equal. */
export function referenceExporterPod(
  options: ReferenceExporterOptions,
): Manifest & { readonly metadata: { readonly name: string; readonly namespace: string } } {
  const name = options.name ?? REFERENCE_ACCOUNT;
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: options.namespace, labels: { 'app.kubernetes.io/name': REFERENCE_ACCOUNT } },
    spec: {
      ...(options.nodeName === undefined ? {} : { nodeName: options.nodeName }),
      serviceAccountName: REFERENCE_ACCOUNT,
      automountServiceAccountToken: false,
      enableServiceLinks: false,
      terminationGracePeriodSeconds: 5,
      securityContext: { runAsNonRoot: true, runAsUser: 65532, seccompProfile: { type: 'RuntimeDefault' } },
      containers: [
        {
          name: 'kube-state-metrics',
          image: `${KUBE_STATE_METRICS_IMAGE}:v2.20.0`,
          args: referenceArguments(options),
          ports: [
            { name: 'http-metrics', containerPort: REFERENCE_PORTS.metrics },
            { name: 'telemetry', containerPort: REFERENCE_PORTS.telemetry },
          ],
          readinessProbe: { httpGet: { path: '/healthz', port: 'http-metrics' }, periodSeconds: 1 },
          securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] } },
          volumeMounts: [{ name: 'api-access', mountPath: TOKEN_FOLDER, readOnly: true }],
        },
      ],
      volumes: [tokenVolume('api-access')],
    },
  };
}

/** The account of the reference, which keeps what it may read when a worker loses some of it. */
export function referenceAccount(namespace: string, rules: readonly PolicyRule[]): readonly Manifest[] {
  const group = 'rbac.authorization.k8s.io';
  const name = `${namespace}:${REFERENCE_ACCOUNT}`;
  return [
    {
      apiVersion: 'v1',
      kind: 'ServiceAccount',
      metadata: { name: REFERENCE_ACCOUNT, namespace },
      automountServiceAccountToken: false,
    },
    {
      apiVersion: `${group}/v1`,
      kind: 'ClusterRole',
      metadata: { name },
      rules,
    },
    {
      apiVersion: `${group}/v1`,
      kind: 'ClusterRoleBinding',
      metadata: { name },
      roleRef: { apiGroup: group, kind: 'ClusterRole', name },
      subjects: [{ kind: 'ServiceAccount', name: REFERENCE_ACCOUNT, namespace }],
    },
  ];
}

/** What Kubernetes would mount by itself, as a volume that a pod mounts only where it wants. */
function tokenVolume(name: string): Readonly<Record<string, unknown>> {
  return {
    name,
    projected: {
      sources: [
        { serviceAccountToken: { path: 'token', expirationSeconds: 3600 } },
        { configMap: { name: 'kube-root-ca.crt', items: [{ key: 'ca.crt', path: 'ca.crt' }] } },
        { downwardAPI: { items: [{ path: 'namespace', fieldRef: { fieldPath: 'metadata.namespace' } }] } },
      ],
    },
  };
}

function referenceArguments(options: ReferenceExporterOptions): readonly string[] {
  const { labelsAllowlist = [], annotationsAllowlist = [], customResourceState, extraArgs = [] } = options;
  return [
    ...extraArgs,
    ...(labelsAllowlist.length === 0 ? [] : [`--metric-labels-allowlist=${labelsAllowlist.join(',')}`]),
    ...(annotationsAllowlist.length === 0 ? [] : [`--metric-annotations-allowlist=${annotationsAllowlist.join(',')}`]),
    ...(customResourceState === undefined ? [] : [`--custom-resource-state-config=${customResourceState}`]),
    `--host=0.0.0.0`,
    `--port=${REFERENCE_PORTS.metrics}`,
    '--telemetry-host=0.0.0.0',
    `--telemetry-port=${REFERENCE_PORTS.telemetry}`,
  ];
}
