import { createHash } from 'node:crypto';
import type {
  V1Affinity,
  V1Container,
  V1PodSpec,
  V1ResourceRequirements,
  V1TopologySpreadConstraint,
  V1WeightedPodAffinityTerm,
} from '@kubernetes/client-node';
import { type KsmScale, type KsmScaleSpec, KSM_SCALE_API_VERSION, KSM_SCALE_KIND } from '@shard-controller/shared/api';
import type { OwnerReference } from '@shard-controller/shared/kubernetes';
import { distributionOf } from './disruption.ts';
import {
  inheritedLabels,
  KSM_NAME,
  NAME_LABEL,
  REVISION_LABEL,
  SCALE_LABEL,
  shardedSelector,
  shardSelector,
  ZONE_LABEL,
} from './labels.ts';
import type { Place } from './places.ts';

/** The pod of a place. */

export interface PodManifest {
  readonly apiVersion: 'v1';
  readonly kind: 'Pod';
  readonly metadata: {
    readonly name: string;
    readonly namespace: string;
    readonly labels: Readonly<Record<string, string>>;
    readonly annotations: Readonly<Record<string, string>>;
    readonly ownerReferences: readonly OwnerReference[];
  };
  readonly spec: V1PodSpec;
}

/** What the installation says of pods. */
export interface PodSettings {
  /** Whether the user of the containers is named, rather than left to the platform, as OpenShift wants it. */
  readonly fixedUser: boolean;
}

const SERVICE_ACCOUNT = 'kube-state-metrics';
const HOSTNAME = 'kubernetes.io/hostname';
const ZONE = 'topology.kubernetes.io/zone';
/** User of the containers: nobody. */
const UNPRIVILEGED = 65_534;
const PORTS = { metrics: 8080, telemetry: 8081 } as const;

/** Everything that a KSMScale owns goes with it. */
export const ownerOf = ({ metadata: { name, uid } }: KsmScale): OwnerReference => ({
  apiVersion: KSM_SCALE_API_VERSION,
  kind: KSM_SCALE_KIND,
  name,
  uid,
  controller: true,
  blockOwnerDeletion: true,
});

export function podManifest(scale: KsmScale, place: Place, settings: PodSettings): PodManifest {
  const { name } = scale.metadata;
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name: place.name,
      namespace: scale.spec.namespace,
      labels: {
        ...inheritedLabels(scale),
        [NAME_LABEL]: KSM_NAME,
        'app.kubernetes.io/instance': name,
        'app.kubernetes.io/component': 'exporter',
        [SCALE_LABEL]: name,
        ...place.labels,
        ...(place.zone === undefined ? {} : { [ZONE_LABEL]: place.zone }),
        [REVISION_LABEL]: podRevision(scale, place, settings),
      },
      annotations: place.annotations,
      ownerReferences: [ownerOf(scale)],
    },
    spec: podSpec(scale, place, settings),
  };
}

/** Names what all pods of a KSMScale have in common: a pod with another `ksmscale.example.com/revision` is outdated. */
export function podRevision(scale: KsmScale, place: Place, settings: PodSettings): string {
  const anyPlace = { ...place, shard: place.shard === undefined ? undefined : 0, replica: 0, zone: undefined };
  const content = JSON.stringify(podSpec(scale, anyPlace, settings));
  return createHash('sha256').update(content).digest('hex').slice(0, 10);
}

function podSpec(scale: KsmScale, place: Place, settings: PodSettings): V1PodSpec {
  return {
    serviceAccountName: SERVICE_ACCOUNT,
    nodeSelector: { 'kubernetes.io/os': 'linux' },
    containers: [container(scale.spec, place, settings)],
    ...placement(scale, place),
  };
}

function container(spec: KsmScaleSpec, { shard, replica, totalShards }: Place, settings: PodSettings): V1Container {
  const sharded = shard !== undefined;
  return {
    name: KSM_NAME,
    image: spec.monitorImage,
    args: [
      '--host=0.0.0.0',
      `--port=${PORTS.metrics}`,
      '--telemetry-host=0.0.0.0',
      `--telemetry-port=${PORTS.telemetry}`,
      ...(sharded ? [`--shard=${shard}`, `--total-shards=${totalShards}`] : []),
    ],
    ...(sharded
      ? {
          env: [
            { name: 'SHARD_ID', value: String(shard) },
            { name: 'REPLICA_NUM', value: String(replica) },
            { name: 'POD_NAME', valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } },
          ],
        }
      : {}),
    ports: [
      { name: 'http-metrics', containerPort: PORTS.metrics, protocol: 'TCP' },
      { name: 'telemetry', containerPort: PORTS.telemetry, protocol: 'TCP' },
    ],
    livenessProbe: probe('/healthz'),
    readinessProbe: probe('/'),
    resources: requirements(spec.resources),
    securityContext: {
      allowPrivilegeEscalation: false,
      capabilities: { drop: ['ALL'] },
      readOnlyRootFilesystem: true,
      runAsNonRoot: true,
      ...(settings.fixedUser ? { runAsUser: UNPRIVILEGED } : {}),
      seccompProfile: { type: 'RuntimeDefault' },
    },
  };
}

const probe = (path: string) => ({
  httpGet: { path, port: PORTS.metrics },
  initialDelaySeconds: 5,
  timeoutSeconds: 5,
});

/** Quantities may be written as numbers; the API's own form is text. */
function requirements(given: KsmScaleSpec['resources']): V1ResourceRequirements {
  const texts = (amounts: Readonly<Record<string, string | number>>): Record<string, string> =>
    Object.fromEntries(Object.entries(amounts).map(([name, amount]) => [name, String(amount)]));
  return {
    ...(given?.requests === undefined ? {} : { requests: texts(given.requests) }),
    ...(given?.limits === undefined ? {} : { limits: texts(given.limits) }),
  };
}

/** Where there is one pod for each shard all of them keep apart, else the replicas of a shard do so first. */
function placement({ metadata: { name }, spec: { sharding } }: KsmScale, { shard, zone }: Place): Partial<V1PodSpec> {
  if (sharding === undefined || shard === undefined) return {};
  const { spreadAcrossNodes, spreadAcrossZones } = distributionOf(sharding);
  const replicated = sharding.mode === 'Replicated' || sharding.mode === 'Groups';
  const sameShard = shardSelector(name, shard);
  const allShards = shardedSelector(name);
  const own = replicated ? sameShard : allShards;
  const keys = [...(spreadAcrossNodes ? [HOSTNAME] : []), ...(spreadAcrossZones ? [ZONE] : [])];
  const apart = keys.flatMap((key) => [
    awayFrom(own, key, 100),
    ...(replicated && key === HOSTNAME ? [awayFrom(allShards, key, 50)] : []),
  ]);
  const affinity: V1Affinity = {
    ...(apart.length === 0 ? {} : { podAntiAffinity: { preferredDuringSchedulingIgnoredDuringExecution: apart } }),
    ...(zone === undefined ? {} : { nodeAffinity: preferZone(zone) }),
  };
  return {
    ...(Object.keys(affinity).length === 0 ? {} : { affinity }),
    ...(keys.length === 0
      ? {}
      : { topologySpreadConstraints: keys.map((key) => evenly(own, key, replicated && key === HOSTNAME)) }),
  };
}

const awayFrom = (
  matchLabels: Record<string, string>,
  topologyKey: string,
  weight: number,
): V1WeightedPodAffinityTerm => ({
  weight,
  podAffinityTerm: { topologyKey, labelSelector: { matchLabels } },
});

const preferZone = (zone: string) => ({
  preferredDuringSchedulingIgnoredDuringExecution: [
    { weight: 100, preference: { matchExpressions: [{ key: ZONE, operator: 'In', values: [zone] }] } },
  ],
});

/** Nodes that a pod cannot run on anyway do not count: else a tainted one would forbid the second replica. */
const evenly = (
  matchLabels: Record<string, string>,
  topologyKey: string,
  hard: boolean,
): V1TopologySpreadConstraint => ({
  maxSkew: 1,
  topologyKey,
  whenUnsatisfiable: hard ? 'DoNotSchedule' : 'ScheduleAnyway',
  labelSelector: { matchLabels },
  nodeAffinityPolicy: 'Honor',
  nodeTaintsPolicy: 'Honor',
});
