import { KUBE_STATE_METRICS_IMAGE } from '../cluster/index.ts';
import { type Manifest, TOKEN_FOLDER, tokenVolume } from './objects.ts';

export const REFERENCE_ACCOUNT = 'kube-state-metrics-reference';

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
          volumeMounts: [{ name: 'api-access', mountPath: TOKEN_FOLDER, readOnly: true }],
        },
      ],
      volumes: [tokenVolume('api-access')],
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
