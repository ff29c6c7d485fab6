import type { Assignment } from '../contracts/index.ts';
import type { ShardInstance, ShardInstanceSpec } from './shard-instance.ts';

/** The assignment that a ShardInstance holds: the same content as the message on the shard's assignment subject. */
export function assignmentOf(instance: Pick<ShardInstance, 'metadata' | 'spec'>): Assignment {
  const { shardConfigRef, ...spec } = instance.spec;
  return {
    v: 'shard.assignment.v1',
    shardConfig: { namespace: instance.metadata.namespace, name: shardConfigRef.name, uid: shardConfigRef.uid },
    ...spec,
  };
}

/** The `ShardInstance.spec` that holds an assignment; the reverse of `assignmentOf`. */
export function instanceSpecOf(assignment: Assignment): ShardInstanceSpec {
  const { v: _version, shardConfig, ...spec } = assignment;
  return { shardConfigRef: { name: shardConfig.name, uid: shardConfig.uid }, ...spec };
}

/** Name of the ShardInstance of a shard: `<config>-shard-000`. */
export const shardInstanceName = (config: string, shardId: string): string => `${config}-${shardId}`;
