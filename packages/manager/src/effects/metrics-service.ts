import type { V1PodDisruptionBudgetSpec, V1ServiceSpec } from '@kubernetes/client-node';
import type { KubernetesObject } from '@shard-controller/shared/kubernetes';
import {
  type ConfigIdentity,
  configLabels,
  metricsServiceName,
  ownerReference,
  workerSelector,
} from '../naming/index.ts';

export interface ServiceObject extends KubernetesObject {
  readonly spec: V1ServiceSpec;
}

export interface DisruptionBudgetObject extends KubernetesObject {
  readonly spec: V1PodDisruptionBudgetSpec;
}

/**
 * Headless, and with pods that are not ready: a draining worker stays a target until its slots are scraped elsewhere,
 * and a worker that is not yet warm answers for itself.
 */
export function metricsService(config: ConfigIdentity): ServiceObject {
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: {
      name: metricsServiceName(config.name),
      namespace: config.namespace,
      labels: configLabels(config.name),
      ownerReferences: [ownerReference(config)],
    },
    spec: {
      clusterIP: 'None',
      publishNotReadyAddresses: true,
      selector: workerSelector(config.name),
      ports: [{ name: 'http-metrics', port: 8080, targetPort: 'http-metrics', protocol: 'TCP' }],
    },
  };
}

/**
 * Bounds voluntary evictions. `maxUnavailable` is kept below the number of shards, so that an eviction never takes all
 * of them at once, and at 1 or more, so that a node can be drained.
 */
export function disruptionBudget(
  config: ConfigIdentity,
  shards: number,
  maxUnavailable: number,
): DisruptionBudgetObject {
  return {
    apiVersion: 'policy/v1',
    kind: 'PodDisruptionBudget',
    metadata: {
      name: config.name,
      namespace: config.namespace,
      labels: configLabels(config.name),
      ownerReferences: [ownerReference(config)],
    },
    spec: {
      maxUnavailable: Math.max(1, Math.min(maxUnavailable, shards - 1)),
      // Workers that are not ready keep no node from being drained; an evicted one still hands over what it can.
      unhealthyPodEvictionPolicy: 'AlwaysAllow',
      selector: { matchLabels: workerSelector(config.name) },
    },
  };
}
