import {
  API_VERSION,
  instanceSpecOf,
  SHARD_INSTANCE_KIND,
  type ShardInstance,
  type ShardInstanceSpec,
  shardInstanceName,
} from '@shard-controller/shared/api';
import { type Assignment, compareEpoch } from '@shard-controller/shared/contracts';
import type { KubernetesObject } from '@shard-controller/shared/kubernetes';
import { configLabels, ownerReference } from '../naming/index.ts';

export interface ShardInstanceObject extends KubernetesObject {
  readonly spec: ShardInstanceSpec;
}

/** The ShardInstance that holds an assignment: only `spec`, since its status belongs to the workers. */
export function shardInstanceOf(assignment: Assignment): ShardInstanceObject {
  const config = assignment.shardConfig;
  return {
    apiVersion: API_VERSION,
    kind: SHARD_INSTANCE_KIND,
    metadata: {
      name: shardInstanceName(config.name, assignment.shardId),
      namespace: config.namespace,
      labels: configLabels(config.name),
      ownerReferences: [ownerReference(config)],
    },
    spec: instanceSpecOf(assignment),
  };
}

/** Whether a ShardInstance must still be written for an assignment. One that is newer than ours is left alone. */
export function needsWrite(existing: ShardInstance | undefined, wanted: Assignment): boolean {
  return existing === undefined || compareEpoch(existing.spec, wanted) < 0;
}
