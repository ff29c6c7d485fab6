export { assignmentOf, instanceSpecOf, shardInstanceName } from './assignment.ts';
export { type CustomResourceKind, readCustomResourceState } from './custom-resource-state.ts';
export type { Condition, ObjectMetadata } from './fields.ts';
export {
  API_VERSION,
  GROUP,
  SHARD_CONFIG_KIND,
  SHARD_CONFIG_PLURAL,
  SHARD_INSTANCE_KIND,
  SHARD_INSTANCE_PLURAL,
  VERSION,
} from './group.ts';
export { type Parsed, parseShardConfig, parseShardInstance } from './parse.ts';
export { parseQuantity } from './quantity.ts';
export {
  MAX_SHARDS,
  type ShardConfig,
  type ShardConfigSpec,
  type ShardConfigSpecInput,
  type ShardConfigStatus,
  shardConfigSchema,
  shardConfigSpecSchema,
  shardConfigStatusSchema,
} from './shard-config.ts';
export { DEFAULT_EXPORTER_IMAGE } from './shard-config-sections.ts';
export {
  type ReplicaStatus,
  type ShardInstance,
  type ShardInstanceSpec,
  type ShardInstanceStatus,
  type ShardPhase,
  shardInstanceSchema,
  shardInstanceSpecSchema,
  shardInstanceStatusSchema,
} from './shard-instance.ts';
