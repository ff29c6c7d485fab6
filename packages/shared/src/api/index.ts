export { assignmentOf, instanceSpecOf, shardInstanceName } from './assignment.ts';
export { type CustomResourceKind, readCustomResourceState } from './custom-resource-state.ts';
export { type Condition, DURATION_PATTERN, type ObjectMetadata } from './fields.ts';
export {
  API_VERSION,
  GROUP,
  KSM_SCALE_API_VERSION,
  KSM_SCALE_GROUP,
  KSM_SCALE_KIND,
  KSM_SCALE_PLURAL,
  KSM_SCALE_VERSION,
  SHARD_CONFIG_KIND,
  SHARD_CONFIG_PLURAL,
  SHARD_INSTANCE_KIND,
  SHARD_INSTANCE_PLURAL,
  VERSION,
} from './group.ts';
export {
  type KsmScale,
  ksmScaleSchema,
  type KsmScaleSpec,
  type KsmScaleSpecInput,
  ksmScaleSpecSchema,
  type KsmSharding,
} from './ksm-scale.ts';
export { type KsmShardingMode } from './ksm-scale-sharding.ts';
export { type KsmScaleStatus, type KsmShardingStatus, MAX_STATUS_ITEMS } from './ksm-scale-status.ts';
export { type Parsed, parseKsmScale, parseShardConfig, parseShardInstance } from './parse.ts';
export { parseQuantity } from './quantity.ts';
export { DEFAULT_EXPORTER_IMAGE } from './exporter-section.ts';
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
