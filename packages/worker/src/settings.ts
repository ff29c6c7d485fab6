import { randomUUID } from 'node:crypto';
import { shardInstanceName } from '@shard-controller/shared/api';
import { natsAccess, type NatsConnectionConfig } from '@shard-controller/shared/nats';
import type { WorkerConfig } from './config.ts';
import type { Capacity } from './heartbeat-manager/index.ts';
import type { WorkerIdentity } from './worker-identity.ts';

/** What the parts of a worker take from its configuration. */

export function identityOf(config: WorkerConfig): WorkerIdentity {
  const { replica, shardId } = config.worker;
  return {
    namespace: config.POD_NAMESPACE,
    config: config.SHARD_CONFIG,
    uid: config.SHARD_CONFIG_UID,
    shardId,
    replica,
    pod: config.POD_NAME,
    node: config.NODE_NAME,
    revision: config.REVISION,
    boot: randomUUID(),
    shardInstance: shardInstanceName(config.SHARD_CONFIG, shardId),
  };
}

export function natsConfig(config: WorkerConfig): Omit<NatsConnectionConfig, 'name'> {
  // Its own inbox, so that it may listen to that one alone.
  return { servers: config.NATS_URL, inbox: config.POD_NAME, ...natsAccess(config) };
}

export function capacityOf(config: WorkerConfig): Capacity {
  return {
    objects: config.CAPACITY_OBJECTS,
    expositionBytes: config.CAPACITY_EXPOSITION_BYTES,
    memoryBytes: config.CAPACITY_MEMORY_BYTES,
    scrapeDurationMs: config.CAPACITY_SCRAPE_DURATION_MS,
    queueDepth: config.CAPACITY_QUEUE_DEPTH,
  };
}
