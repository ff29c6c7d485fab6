export { assignmentOf, instanceSpecOf, shardInstanceName } from './assignment.ts';
export { type CustomResourceKind, readCustomResourceState } from './custom-resource-state.ts';
export { type Condition, DURATION_PATTERN, type ObjectMetadata } from './fields.ts';
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
export { DEFAULT_EXPORTER_IMAGE } from './shard-config-sections.ts';
export {
  MAX_SHARDS,
  type ShardConfig,
  shardConfigSchema,
  type ShardConfigSpec,
  type ShardConfigSpecInput,
  shardConfigSpecSchema,
  type ShardConfigStatus,
  shardConfigStatusSchema,
} from './shard-config.ts';
export {
  type ReplicaStatus,
  type ShardInstance,
  shardInstanceSchema,
  type ShardInstanceSpec,
  shardInstanceSpecSchema,
  type ShardInstanceStatus,
  shardInstanceStatusSchema,
  type ShardPhase,
} from './shard-instance.ts';
