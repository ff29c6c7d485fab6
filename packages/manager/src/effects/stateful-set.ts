import type { V1StatefulSetSpec } from '@kubernetes/client-node';
import type { KubernetesObject } from '@shard-controller/shared/kubernetes';
import type { Replica } from '@shard-controller/shared/contracts';
import { ordinalOf, SURGE } from '../aggregate/index.ts';
import {
  configLabels,
  metricsServiceName,
  ownerReference,
  type PodRole,
  REPLICA_LABEL,
  statefulSetName,
  workerSelector,
} from '../naming/index.ts';
import { type WorkerPodInput, type WorkerPodTemplate, workerPodTemplate } from './worker-pod.ts';

export interface StatefulSetObject extends KubernetesObject {
  readonly spec: Omit<V1StatefulSetSpec, 'template'> & { readonly template: WorkerPodTemplate };
}

/**
 * All pods start and stop at once, and a changed template touches no pod by itself: the manager deletes outdated pods
 * one by one, after it has moved their slots away.
 *
 * @param replicas highest ordinal in use plus one
 */
export function workerStatefulSet(input: WorkerPodInput, replica: Replica, replicas: number): StatefulSetObject {
  return statefulSet(input, replica, { replicas });
}

/**
 * The surge worker has a StatefulSet of its own, because it needs a template that the others do not have yet, and an
 * ordinal that no shard needs.
 */
export function surgeStatefulSet(input: WorkerPodInput): StatefulSetObject {
  return statefulSet(input, 'surge', { replicas: 1, ordinals: { start: ordinalOf(SURGE) } });
}

function statefulSet(
  input: WorkerPodInput,
  role: PodRole,
  size: Pick<V1StatefulSetSpec, 'replicas' | 'ordinals'>,
): StatefulSetObject {
  const { config } = input;
  return {
    apiVersion: 'apps/v1',
    kind: 'StatefulSet',
    metadata: {
      name: statefulSetName(config.name, role),
      namespace: config.namespace,
      labels: { ...configLabels(config.name), [REPLICA_LABEL]: role },
      ownerReferences: [ownerReference(config)],
    },
    spec: {
      ...size,
      serviceName: metricsServiceName(config.name),
      podManagementPolicy: 'Parallel',
      updateStrategy: { type: 'OnDelete' },
      revisionHistoryLimit: 3,
      selector: { matchLabels: workerSelector(config.name, role) },
      template: workerPodTemplate(input, role),
    },
  };
}
