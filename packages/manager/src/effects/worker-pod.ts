import { createHash } from 'node:crypto';
import type {
  V1Container,
  V1EnvVar,
  V1PodSpec,
  V1Probe,
  V1ResourceRequirements,
  V1SecurityContext,
  V1TopologySpreadConstraint,
  V1Volume,
} from '@kubernetes/client-node';
import { parseQuantity, type ShardConfigSpec } from '@shard-controller/shared/api';
import { LEAN_NODE_ENVIRONMENT, parseGoDuration } from '@shard-controller/shared/runtime';
import type { WorkerSettings } from '../config/index.ts';
import { type ConfigIdentity, type PodRole, REVISION_LABEL, workerLabels, workerSelector } from '../naming/index.ts';
import { customResourcesEnv } from './custom-resources.ts';
import { allowlist, exporterArguments } from './exporter-arguments.ts';
import { workerNats } from './worker-nats.ts';

/** Ports of a worker pod. Scrapes go to the gateway; the exporter's own ports are there for its probes and its telemetry. */
const WORKER_PORTS = {
  gateway: 8080,
  exporterTelemetry: 8081,
  exporter: 8082,
  worker: 8083,
  proxy: 8084,
} as const;

const TOKEN_FOLDER = '/var/run/secrets/kubernetes.io/serviceaccount';
const TOKEN_VOLUME = 'api-access';
/** Lifetime of the worker's token, s. Not 3607, which the API server stretches to a year. */
const TOKEN_SECONDS = 3600;

/** Ordinal of a StatefulSet's pod, set by its controller. */
const POD_INDEX_LABEL = 'apps.kubernetes.io/pod-index';

const NO_CAPACITY: ShardConfigSpec['capacity'] = { objects: 1 };

/**
 * Returns when the worker's proxy listens. kubelet starts the containers of a pod in order and waits for this hook, so
 * the exporter, which exits when it finds no API server, does not begin with restarts and their back-off. It gives up
 * without an error: a worker that is so late is the liveness probe's matter.
 */
const PROXY_LISTENS = [
  'node',
  '-e',
  `const end = Date.now() + 30000;
const dial = () => require('node:net').connect(${WORKER_PORTS.proxy}, '127.0.0.1')
  .on('connect', () => process.exit())
  .on('error', () => Date.now() > end ? process.exit() : setTimeout(dial, 50));
dial();`,
];

/** Time for the exporter to end when its liveness probe failed, s. Its preStop hook would use up the pod's, which is for drains. */
const EXPORTER_RESTART_SECONDS = 30;

/** Kept free of the grace period for what the kubelet itself needs to end a pod, s. */
const GRACE_RESERVE_SECONDS = 10;

/** User and group of every container, where the platform gives none. */
const UNPRIVILEGED = 65532;

const HARDENED: V1SecurityContext = {
  allowPrivilegeEscalation: false,
  capabilities: { drop: ['ALL'] },
  readOnlyRootFilesystem: true,
  runAsNonRoot: true,
};

/** Everything that a worker's pod is made of. */
export interface WorkerPodInput {
  readonly config: ConfigIdentity;
  readonly spec: ShardConfigSpec;
  readonly worker: WorkerSettings;
}

/** A core/v1 PodTemplateSpec whose affinity is passed through unread. */
export interface WorkerPodTemplate {
  readonly metadata: {
    readonly labels: Readonly<Record<string, string>>;
    readonly annotations: Readonly<Record<string, string>>;
  };
  readonly spec: Omit<V1PodSpec, 'affinity'> & { readonly affinity?: Readonly<Record<string, unknown>> };
}

/**
 * The pod of one worker: the worker process, which alone holds a token, and beside it an unmodified kube-state-metrics
 * whose API server is the worker, over the pod's own loopback.
 */
export function workerPodTemplate(input: WorkerPodInput, replica: PodRole): WorkerPodTemplate {
  const { metadata, spec } = unlabelledTemplate(input);
  const labels = {
    ...metadata.labels,
    ...workerLabels(input.config.name, replica),
    [REVISION_LABEL]: templateRevision(input),
  };
  return { metadata: { ...metadata, labels }, spec };
}

/**
 * Names the content of the template, whatever the replica: a pod with another `shard.io/revision` is outdated. What
 * load 1.0 means is left out, since it only scales a figure in the status and no worker has to be replaced for it.
 */
export function templateRevision(input: WorkerPodInput): string {
  const template = JSON.stringify(unlabelledTemplate({ ...input, spec: { ...input.spec, capacity: NO_CAPACITY } }));
  return createHash('sha256').update(template).digest('hex').slice(0, 10);
}

function unlabelledTemplate(input: WorkerPodInput): WorkerPodTemplate {
  const { spec, worker } = input;
  return {
    metadata: {
      labels: { ...spec.podLabels },
      annotations: { ...spec.podAnnotations, 'kubectl.kubernetes.io/default-container': 'worker' },
    },
    spec: {
      serviceAccountName: worker.serviceAccount,
      automountServiceAccountToken: false,
      enableServiceLinks: false,
      terminationGracePeriodSeconds: spec.terminationGracePeriodSeconds,
      securityContext: {
        runAsNonRoot: true,
        ...(worker.fixedUser ? { runAsUser: UNPRIVILEGED, runAsGroup: UNPRIVILEGED, fsGroup: UNPRIVILEGED } : {}),
        seccompProfile: { type: 'RuntimeDefault' },
      },
      containers: [workerContainer(input), exporterContainer(spec)],
      volumes: [tokenVolume(), ...workerNats(worker.nats).volumes],
      ...placement(input),
    },
  };
}

function workerContainer({ config, spec, worker }: WorkerPodInput): V1Container {
  return {
    name: 'worker',
    image: worker.image,
    env: [
      ...downwardEnv(),
      { name: 'SHARD_CONFIG', value: config.name },
      { name: 'SHARD_CONFIG_UID', value: config.uid },
      { name: 'REVISION', valueFrom: { fieldRef: { fieldPath: `metadata.labels['${REVISION_LABEL}']` } } },
      ...workerNats(worker.nats).env,
      { name: 'LOG_LEVEL', value: worker.logLevel },
      { name: 'ISOLATION', value: spec.isolation },
      { name: 'DRAIN_TIMEOUT_MS', value: String(drainSeconds(spec) * 1000) },
      ...Object.entries(LEAN_NODE_ENVIRONMENT).map(([name, value]) => ({ name, value })),
      ...customResourcesEnv(spec.exporter),
      ...dietEnv(spec.exporter),
      ...capacityEnv(spec.capacity),
    ],
    ports: [
      { name: 'http-metrics', containerPort: WORKER_PORTS.gateway, protocol: 'TCP' },
      { name: 'worker', containerPort: WORKER_PORTS.worker, protocol: 'TCP' },
    ],
    livenessProbe: probe('/livez', 'worker', { periodSeconds: 10, failureThreshold: 3, timeoutSeconds: 3 }),
    lifecycle: { postStart: { exec: { command: PROXY_LISTENS } } },
    readinessProbe: probe('/readyz', 'worker', { periodSeconds: 2, failureThreshold: 2, timeoutSeconds: 2 }),
    resources: spec.workerResources === undefined ? WORKER_RESOURCES : requirements(spec.workerResources),
    securityContext: HARDENED,
    volumeMounts: [{ name: TOKEN_VOLUME, mountPath: TOKEN_FOLDER, readOnly: true }, ...workerNats(worker.nats).mounts],
  };
}

const drainSeconds = ({ terminationGracePeriodSeconds: grace }: ShardConfigSpec): number =>
  Math.max(Math.ceil(grace / 2), grace - GRACE_RESERVE_SECONDS);

/** What the exporter reads of objects, so that the worker need not send the rest. */
function dietEnv({ image, annotationsAllowlist = [] }: ShardConfigSpec['exporter']): V1EnvVar[] {
  const version = /:v?(\d+\.\d+\.\d+)[^/]*$/.exec(image)?.[1];
  return [
    ...(version === undefined ? [] : [{ name: 'EXPORTER_VERSION', value: version }]),
    ...(annotationsAllowlist.length === 0
      ? []
      : [{ name: 'ANNOTATION_ALLOW_LIST', value: allowlist(annotationsAllowlist).join(',') }]),
  ];
}

/** Largest amount that a worker takes; nothing has so much of anything. */
const MAX_CAPACITY = 999_999_999_999_999;

/** What load 1.0 means, for the `load` that a worker reports about itself. */
function capacityEnv(capacity: ShardConfigSpec['capacity']): V1EnvVar[] {
  const { expositionBytes, memory, scrapeDuration, queueDepth } = capacity;
  const amounts: Readonly<Record<string, number | undefined>> = {
    CAPACITY_OBJECTS: capacity.objects,
    CAPACITY_EXPOSITION_BYTES: expositionBytes === undefined ? undefined : parseQuantity(expositionBytes),
    CAPACITY_MEMORY_BYTES: memory === undefined ? undefined : parseQuantity(memory),
    CAPACITY_SCRAPE_DURATION_MS: scrapeDuration === undefined ? undefined : parseGoDuration(scrapeDuration),
    CAPACITY_QUEUE_DEPTH: queueDepth,
  };
  return Object.entries(amounts).flatMap(([name, amount]) =>
    amount === undefined ? [] : [{ name, value: String(Math.min(MAX_CAPACITY, Math.max(1, Math.round(amount)))) }],
  );
}

/** CPU and memory of the worker process itself; `spec.resources` is the exporter's. */
const WORKER_RESOURCES: V1ResourceRequirements = {
  requests: { cpu: '100m', memory: '128Mi' },
  limits: { memory: '512Mi' },
};

function exporterContainer(spec: ShardConfigSpec): V1Container {
  return {
    name: 'kube-state-metrics',
    image: spec.exporter.image,
    args: exporterArguments(spec.exporter),
    ports: [
      { name: 'ksm', containerPort: WORKER_PORTS.exporter, protocol: 'TCP' },
      { name: 'telemetry', containerPort: WORKER_PORTS.exporterTelemetry, protocol: 'TCP' },
    ],
    livenessProbe: probe('/healthz', 'ksm', {
      periodSeconds: 10,
      failureThreshold: 3,
      timeoutSeconds: 5,
      terminationGracePeriodSeconds: EXPORTER_RESTART_SECONDS,
    }),
    // The hook returns when the worker owns and exposes nothing, so the exporter outlives the drain.
    lifecycle: { preStop: { httpGet: { path: '/drain/wait', port: WORKER_PORTS.worker, scheme: 'HTTP' } } },
    resources: requirements(spec.resources),
    securityContext: HARDENED,
  };
}

type Requirements = NonNullable<ShardConfigSpec['resources']>;

/** Quantities may be written as numbers; the API's own form is text. */
function requirements(given: Requirements | undefined): V1ResourceRequirements {
  const texts = (amounts: Requirements['requests']): Record<string, string> =>
    Object.fromEntries(Object.entries(amounts ?? {}).map(([name, amount]) => [name, String(amount)]));
  return {
    ...(given?.requests === undefined ? {} : { requests: texts(given.requests) }),
    ...(given?.limits === undefined ? {} : { limits: texts(given.limits) }),
  };
}

function downwardEnv(): V1EnvVar[] {
  const fields = {
    POD_NAME: 'metadata.name',
    POD_NAMESPACE: 'metadata.namespace',
    POD_IP: 'status.podIP',
    NODE_NAME: 'spec.nodeName',
  };
  return Object.entries(fields).map(([name, fieldPath]) => ({ name, valueFrom: { fieldRef: { fieldPath } } }));
}

function probe(path: string, port: string, timing: Omit<V1Probe, 'httpGet'>): V1Probe {
  return { httpGet: { path, port, scheme: 'HTTP' }, ...timing };
}

/** What a ServiceAccount mount holds, but for the worker container only. */
function tokenVolume(): V1Volume {
  return {
    name: TOKEN_VOLUME,
    projected: {
      defaultMode: 0o440,
      sources: [
        { serviceAccountToken: { path: 'token', expirationSeconds: TOKEN_SECONDS } },
        { configMap: { name: 'kube-root-ca.crt', items: [{ key: 'ca.crt', path: 'ca.crt' }] } },
        { downwardAPI: { items: [{ path: 'namespace', fieldRef: { fieldPath: 'metadata.namespace' } }] } },
      ],
    },
  };
}

type Placement = Partial<
  Pick<
    WorkerPodTemplate['spec'],
    'affinity' | 'imagePullSecrets' | 'nodeSelector' | 'priorityClassName' | 'tolerations' | 'topologySpreadConstraints'
  >
>;

/**
 * Spreading is a preference: a worker that shares a node is better than a worker that is pending. First of all the two
 * replicas of a shard, which have the same ordinal, keep apart.
 */
function placement({ config, spec }: WorkerPodInput): Placement {
  const labelSelector = { matchLabels: workerSelector(config.name) };
  const term = { labelSelector, topologyKey: 'kubernetes.io/hostname' };
  const apart = {
    preferredDuringSchedulingIgnoredDuringExecution: [
      { weight: 100, podAffinityTerm: { ...term, matchLabelKeys: [POD_INDEX_LABEL] } },
      { weight: 50, podAffinityTerm: term },
    ],
  };
  const spread: V1TopologySpreadConstraint = {
    maxSkew: 1,
    topologyKey: 'topology.kubernetes.io/zone',
    whenUnsatisfiable: 'ScheduleAnyway',
    labelSelector,
  };
  const affinity = {
    ...(spec.distribution.spreadAcrossNodes ? { podAntiAffinity: apart } : {}),
    ...spec.affinity,
  };
  return {
    ...(Object.keys(affinity).length === 0 ? {} : { affinity }),
    ...(spec.distribution.spreadAcrossZones ? { topologySpreadConstraints: [spread] } : {}),
    // Our images and the exporter's are for Linux.
    nodeSelector: { 'kubernetes.io/os': 'linux', ...spec.nodeSelector },
    ...(spec.priorityClassName === undefined ? {} : { priorityClassName: spec.priorityClassName }),
    ...(spec.imagePullSecrets === undefined ? {} : { imagePullSecrets: spec.imagePullSecrets }),
    ...(spec.tolerations === undefined ? {} : { tolerations: spec.tolerations.map(definedOnly) }),
  };
}

/** Without keys whose value is undefined, which the API's types do not allow. */
function definedOnly<T extends object>(value: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  return JSON.parse(JSON.stringify(value));
}
