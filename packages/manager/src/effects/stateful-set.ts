import type { V1StatefulSetSpec } from '@kubernetes/client-node';
import type { KubernetesObject } from '@shard-controller/shared/kubernetes';
import type { Replica } from '@shard-controller/shared/contracts';
import { configLabels, REPLICA_LABEL, workerSelector } from './labels.ts';
import { metricsServiceName } from './metrics-service.ts';
import { ownerReference } from './owner.ts';
import { type WorkerPodInput, type WorkerPodTemplate, workerPodTemplate } from './worker-pod.ts';

export interface StatefulSetObject extends KubernetesObject {
  readonly spec: Omit<V1StatefulSetSpec, 'template'> & { readonly template: WorkerPodTemplate };
}

/** Name of the StatefulSet that runs replica `replica` of every shard; pod ordinal = shard. */
export const statefulSetName = (config: string, replica: Replica): string => `${config}-${replica}`;

/**
 * All pods start and stop at once, and a changed template touches no pod by itself: the manager deletes outdated pods
 * one by one, after it has moved their slots away.
 *
 * @param replicas highest ordinal in use plus one, a surge worker included
 */
export function workerStatefulSet(input: WorkerPodInput, replica: Replica, replicas: number): StatefulSetObject {
  const { config } = input;
  return {
    apiVersion: 'apps/v1',
    kind: 'StatefulSet',
    metadata: {
      name: statefulSetName(config.name, replica),
      namespace: config.namespace,
      labels: { ...configLabels(config.name), [REPLICA_LABEL]: replica },
      ownerReferences: [ownerReference(config)],
    },
    spec: {
      replicas,
      serviceName: metricsServiceName(config.name),
      podManagementPolicy: 'Parallel',
      updateStrategy: { type: 'OnDelete' },
      revisionHistoryLimit: 3,
      selector: { matchLabels: workerSelector(config.name, replica) },
      template: workerPodTemplate(input, replica),
    },
  };
}
