import { z } from 'zod';
import { conditions, count, dateTime } from './fields.ts';

/** What the controller reports about a KSMScale. */

/** Longest lists in the status: shards, and pods of a shard. */
export const MAX_STATUS_ITEMS = 1000;

const podName = () => z.string().max(253);

const shardReplicas = () =>
  z.object({
    replicas: count().describe('Pods of the shard.'),
    pods: z.array(podName()).max(MAX_STATUS_ITEMS).describe('Their names.'),
    ready: count().describe('How many of them are Ready.'),
  });

const shardHealth = () =>
  z.object({
    shardId: count().describe('Number of the shard.'),
    podName: podName().describe('A pod of the shard.'),
    ready: z.boolean().describe('Whether it is Ready.'),
    lastSeen: dateTime().describe('When the controller last checked it.'),
  });

const shardingStatus = () =>
  z.object({
    mode: z.string().max(20).describe('sharding.mode that this status speaks about.'),
    totalShards: count().describe('Value of --total-shards of all pods.'),
    activeShards: count().describe('Shards with a Ready pod.'),
    configuredShards: count().describe('Shards that the objects are divided over.'),
    coveragePercent: z.number().min(0).max(100).describe('activeShards of configuredShards, one decimal.'),
    missingShards: z.array(count()).max(MAX_STATUS_ITEMS).describe('Shards without a Ready pod.'),
    shardDistribution: z
      .record(z.string().max(5), shardReplicas())
      .meta({ maxProperties: MAX_STATUS_ITEMS })
      .describe('Pods by shard.'),
    shardHealth: z
      .array(shardHealth())
      .max(MAX_STATUS_ITEMS)
      .meta({ 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': ['shardId', 'podName'] })
      .describe('Health of each pod.'),
    warning: z.string().max(1024).describe('Why the number of shards does not fit the cluster; empty when it does.'),
  });

export const ksmScaleStatusSchema = z
  .object({
    observedGeneration: count().optional().describe('metadata.generation that this status speaks about.'),
    conditions: conditions()
      .optional()
      .describe('Ready, Progressing, Degraded, and with sharding Covered and Efficient.'),
    nodeCount: count().optional().describe('Nodes of the cluster, whatever their state.'),
    desiredReplicas: count().optional().describe('Pods that should run.'),
    currentReplicas: count()
      .optional()
      .describe('Pods that ran when the controller last looked, terminating and failed ones not counted.'),
    phase: z
      .enum(['Ready', 'Scaling', 'Incomplete'])
      .optional()
      .describe(
        'Ready, Scaling while currentReplicas is not desiredReplicas, Incomplete while a shard has no Ready pod.',
      ),
    lastUpdated: dateTime().optional().describe('When this status was written.'),
    selector: z.string().max(1024).optional().describe('Label selector of the pods, for autoscalers.'),
    shardingStatus: shardingStatus().optional().describe('How the shards are; absent without sharding.'),
  })
  .describe('What the controller sees.');

export type KsmScaleStatus = z.output<typeof ksmScaleStatusSchema>;
export type KsmShardingStatus = NonNullable<KsmScaleStatus['shardingStatus']>;
