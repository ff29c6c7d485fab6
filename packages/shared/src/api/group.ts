/** API group, version and names of our custom resources. */

export const GROUP = 'shard.io';
export const VERSION = 'v1';
export const API_VERSION = 'shard.io/v1';

export const SHARD_CONFIG_KIND = 'ShardConfig';
export const SHARD_CONFIG_PLURAL = 'shardconfigs';
export const SHARD_INSTANCE_KIND = 'ShardInstance';
export const SHARD_INSTANCE_PLURAL = 'shardinstances';
