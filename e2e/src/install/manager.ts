import { MANAGER_IMAGE, WORKER_IMAGE } from '../cluster/index.ts';
import { type Manifest, TOKEN_FOLDER, tokenVolume } from './objects.ts';

export const MANAGER_ACCOUNT = 'shard-controller-manager';
export const WORKER_ACCOUNT = 'shard-controller-worker';

export interface ManagerOptions {
  readonly namespace: string;
  readonly natsUrl: string;
  /** Default 2. */
  readonly replicas?: number;
  /** Added to, or instead of, the manager's environment. */
  readonly managerEnvironment?: Readonly<Record<string, string>>;
  readonly workerImage?: string;
}

const LABELS = {
  'app.kubernetes.io/name': 'shard-controller-manager',
  'app.kubernetes.io/component': 'manager',
  'app.kubernetes.io/part-of': 'shard-controller',
};

const HTTP_PORT = 8080;

/** Two managers on different nodes: one leads, the other follows the log warm. */
export function managerDeployment(options: ManagerOptions): Manifest {
  const { namespace } = options;
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: MANAGER_ACCOUNT, namespace, labels: LABELS },
    spec: {
      replicas: options.replicas ?? 2,
      selector: { matchLabels: LABELS },
      template: {
        metadata: { labels: LABELS },
        spec: {
          serviceAccountName: MANAGER_ACCOUNT,
          automountServiceAccountToken: false,
          enableServiceLinks: false,
          terminationGracePeriodSeconds: 10,
          affinity: {
            podAntiAffinity: {
              preferredDuringSchedulingIgnoredDuringExecution: [
                {
                  weight: 100,
                  podAffinityTerm: {
                    topologyKey: 'kubernetes.io/hostname',
                    labelSelector: { matchLabels: LABELS },
                  },
                },
              ],
            },
          },
          containers: [managerContainer(options)],
          volumes: [tokenVolume('api-access')],
        },
      },
    },
  };
}

function managerContainer(options: ManagerOptions): Readonly<Record<string, unknown>> {
  const environment = {
    NATS_URL: options.natsUrl,
    WORKER_IMAGE: options.workerImage ?? WORKER_IMAGE,
    WORKER_SERVICE_ACCOUNT: WORKER_ACCOUNT,
    ...options.managerEnvironment,
  };
  return {
    name: 'manager',
    image: MANAGER_IMAGE,
    env: [
      { name: 'POD_NAME', valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } },
      { name: 'POD_NAMESPACE', valueFrom: { fieldRef: { fieldPath: 'metadata.namespace' } } },
      ...Object.entries(environment).map(([name, value]) => ({ name, value })),
    ],
    ports: [{ name: 'http', containerPort: HTTP_PORT }],
    livenessProbe: { httpGet: { path: '/livez', port: 'http' }, periodSeconds: 5, timeoutSeconds: 3 },
    readinessProbe: { httpGet: { path: '/readyz', port: 'http' }, periodSeconds: 1, timeoutSeconds: 2 },
    resources: { requests: { cpu: '50m', memory: '128Mi' } },
    volumeMounts: [{ name: 'api-access', mountPath: TOKEN_FOLDER, readOnly: true }],
  };
}
