import type { V1PodDisruptionBudgetSpec, V1ServiceSpec } from '@kubernetes/client-node';
import type { KsmScale, KsmSharding } from '@shard-controller/shared/api';
import type { KubernetesObject } from '@shard-controller/shared/kubernetes';
import { distributionOf, minAvailable } from './disruption.ts';
import {
  budgetName,
  KSM_NAME,
  MANAGED_LABEL,
  NAME_LABEL,
  objectLabels,
  scaleSelector,
  SHARDED_LABEL,
  SHARDED_SERVICE,
  shardedSelector,
  shardSelector,
  shardServiceName,
  unshardedServiceName,
} from './labels.ts';
import type { Layout } from './layout.ts';
import type { ObservedObject } from './observation.ts';
import { ownerOf } from './pod-manifest.ts';

/** What stands beside the pods: Services and the PodDisruptionBudget. */

interface CompanionFields<K extends ObservedObject['kind'], S> extends KubernetesObject {
  readonly kind: K;
  readonly metadata: NonNullable<KubernetesObject['metadata']> & { readonly name: string; readonly namespace: string };
  readonly spec: S;
}

export type Companion =
  | CompanionFields<'Service', V1ServiceSpec>
  | CompanionFields<'PodDisruptionBudget', V1PodDisruptionBudgetSpec>;

/** Which pods there are, for the Services in front of them. */
export interface PodKinds {
  readonly sharded: boolean;
  readonly unsharded: boolean;
}

/** A pod is in exactly one Service that a ServiceMonitor finds, also while the mode changes. */
export function wantedCompanions(scale: KsmScale, layout: Layout, present: PodKinds): readonly Companion[] {
  const { sharding } = scale.spec;
  const isSharded = layout.totalShards !== undefined;
  return [
    ...(isSharded || present.sharded ? [shardedService(scale)] : []),
    ...(!isSharded || present.unsharded ? [unshardedService(scale)] : []),
    ...(isSharded && sharding !== undefined ? shardedCompanions(scale, sharding, layout) : []),
  ];
}

function shardedCompanions(scale: KsmScale, sharding: KsmSharding, layout: Layout): readonly Companion[] {
  const { enablePDB } = distributionOf(sharding);
  const shards = Array.from({ length: sharding.servicePerShard ? layout.servedShards : 0 }, (_, shard) => shard);
  return [
    ...(enablePDB ? [disruptionBudget(scale, sharding, layout)] : []),
    ...shards.map((shard) => shardService(scale, shard)),
  ];
}

const METRICS_PORTS = [
  { name: 'http-metrics', port: 8080, targetPort: 'http-metrics', protocol: 'TCP' },
  { name: 'telemetry', port: 8081, targetPort: 'telemetry', protocol: 'TCP' },
];

/** Of all KSMScales of the namespace together: each is one of its owners, and the last one takes it along. */
function shardedService(scale: KsmScale): Companion {
  const { controller: _several, blockOwnerDeletion: _none, ...owner } = ownerOf(scale);
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: {
      name: SHARDED_SERVICE,
      namespace: scale.spec.namespace,
      labels: { [NAME_LABEL]: KSM_NAME, 'app.kubernetes.io/managed-by': 'shard-controller', [MANAGED_LABEL]: 'true' },
      ownerReferences: [owner],
    },
    spec: { clusterIP: 'None', selector: { [NAME_LABEL]: KSM_NAME, [SHARDED_LABEL]: 'true' }, ports: METRICS_PORTS },
  };
}

function unshardedService(scale: KsmScale): Companion {
  const { name } = scale.metadata;
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: {
      name: unshardedServiceName(name),
      namespace: scale.spec.namespace,
      labels: { ...objectLabels(scale), [NAME_LABEL]: KSM_NAME },
      ownerReferences: [ownerOf(scale)],
    },
    spec: { clusterIP: 'None', selector: { ...scaleSelector(name), [SHARDED_LABEL]: 'false' }, ports: METRICS_PORTS },
  };
}

/** Without the label that a ServiceMonitor looks for: its pods are found through the headless Service. */
function shardService(scale: KsmScale, shard: number): Companion {
  const { name } = scale.metadata;
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: {
      name: shardServiceName(name, shard),
      namespace: scale.spec.namespace,
      labels: objectLabels(scale),
      ownerReferences: [ownerOf(scale)],
    },
    spec: {
      selector: shardSelector(name, shard),
      ports: [{ name: 'metrics', port: 8080, targetPort: 8080, protocol: 'TCP' }],
    },
  };
}

/** Pods that are not Ready are lost to nobody: they never stand in the way of a drain. */
function disruptionBudget(scale: KsmScale, sharding: KsmSharding, layout: Layout): Companion {
  const { name } = scale.metadata;
  return {
    apiVersion: 'policy/v1',
    kind: 'PodDisruptionBudget',
    metadata: {
      name: budgetName(name),
      namespace: scale.spec.namespace,
      labels: objectLabels(scale),
      ownerReferences: [ownerOf(scale)],
    },
    spec: {
      minAvailable: minAvailable(sharding, layout.totalShards ?? 1, layout.desiredPods),
      selector: { matchLabels: shardedSelector(name) },
      unhealthyPodEvictionPolicy: 'AlwaysAllow',
    },
  };
}

/** Whether everything that is wanted of an object is there; what others added is left alone. */
export function isApplied(observed: ObservedObject, wanted: Companion): boolean {
  const { labels = {}, ownerReferences = [] } = wanted.metadata;
  return (
    ownerReferences.every(({ uid }) => observed.ownerUids.includes(uid)) &&
    contains(observed.labels, labels) &&
    contains(observed.spec, wanted.spec)
  );
}

function contains(observed: unknown, wanted: unknown): boolean {
  if (Array.isArray(wanted)) {
    return (
      Array.isArray(observed) &&
      observed.length === wanted.length &&
      wanted.every((item, at) => contains(observed[at], item))
    );
  }
  if (!isRecord(wanted)) return observed === wanted;
  return isRecord(observed) && Object.entries(wanted).every(([key, value]) => contains(observed[key], value));
}

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
