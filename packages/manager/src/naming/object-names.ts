import type { PodRole } from './labels.ts';

/**
 * Name of a StatefulSet. `<config>-a` and `<config>-b` run one replica of every shard, pod ordinal = shard;
 * `<config>-s` runs the surge worker.
 */
export const statefulSetName = (config: string, role: PodRole): string => `${config}-${role === 'surge' ? 's' : role}`;

/** Name of the headless Service in front of the workers' `/metrics`; also the StatefulSets' `serviceName`. */
export const metricsServiceName = (config: string): string => `${config}-metrics`;
