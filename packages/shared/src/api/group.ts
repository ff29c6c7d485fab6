/** API group, version and names of our custom resources. */

export const GROUP = 'shard.io';
export const VERSION = 'v1';
export const API_VERSION = 'shard.io/v1';

export const SHARD_CONFIG_KIND = 'ShardConfig';
export const SHARD_CONFIG_PLURAL = 'shardconfigs';
export const SHARD_INSTANCE_KIND = 'ShardInstance';
export const SHARD_INSTANCE_PLURAL = 'shardinstances';

/** The classic node-count scaler has a group of its own. */
export const KSM_SCALE_GROUP = 'monitor.example.com';
export const KSM_SCALE_VERSION = 'v1alpha1';
export const KSM_SCALE_API_VERSION = 'monitor.example.com/v1alpha1';
export const KSM_SCALE_KIND = 'KSMScale';
export const KSM_SCALE_PLURAL = 'ksmscales';
