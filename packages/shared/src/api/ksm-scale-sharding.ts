import { z } from 'zod';
import { type Rule, withRules } from './rules.ts';

/** The `sharding` block of a KSMScale. */

/** Ways to divide the objects of a cluster over the pods of a KSMScale. */
const SHARDING_MODES = ['Replicated', 'Fixed', 'Expandable', 'Groups', 'Partial'] as const;

export type KsmShardingMode = (typeof SHARDING_MODES)[number];

/** A field that no mode but these uses has no default in the schema: a default would set it in the other modes, too. */
const MODE_FIELDS = {
  shardCount: ['Replicated', 'Fixed'],
  replicationStrategy: ['Replicated'],
  minReplicasPerShard: ['Replicated'],
  maxReplicasPerShard: ['Replicated'],
  minimumShards: ['Fixed'],
  baseShardCount: ['Expandable'],
  allowDynamicExpansion: ['Expandable'],
  preventContraction: ['Expandable'],
  shardGroups: ['Groups'],
  scalingStrategy: ['Groups'],
  minReplicasPerGroup: ['Groups'],
  nodesPerReplica: ['Groups'],
  maxShards: ['Partial'],
  acceptIncompleteBelowNodes: ['Partial'],
  minCoveragePercent: ['Partial'],
} as const satisfies Readonly<Record<string, readonly KsmShardingMode[]>>;

type ModeField = keyof typeof MODE_FIELDS;

/** Most pods of one shard or group that a field may ask for. */
const MAX_REPLICAS = 1000;

const distribution = () =>
  z.object({
    spreadAcrossNodes: z
      .boolean()
      .optional()
      .describe('Prefer different nodes for the pods, and keep the replicas of a shard evenly spread. Default true.'),
    spreadAcrossZones: z.boolean().optional().describe('Prefer different zones for the pods. Default true.'),
    enablePDB: z.boolean().optional().describe('Keep a PodDisruptionBudget for the sharded pods. Default true.'),
    maxUnavailable: z
      .int()
      .min(0)
      .max(MAX_REPLICAS)
      .optional()
      .describe(
        'Most pods that evictions may take at once, at most all shards but one. Default 1; 0 allows no eviction.',
      ),
  });

const advanced = () =>
  z.object({
    spreadAcrossNodes: z.boolean().optional().describe('As distribution.spreadAcrossNodes.'),
    enablePDB: z.boolean().optional().describe('As distribution.enablePDB.'),
    minAvailable: z
      .int()
      .min(1)
      .max(MAX_REPLICAS)
      .default(1)
      .describe('Pods that evictions must leave; distribution.maxUnavailable wins over it.'),
  });

const shardingFields = z.object({
  enabled: z.boolean().default(false).describe('Divide the objects over shards. Without it every pod exports all.'),
  mode: z
    .enum(SHARDING_MODES)
    .default('Replicated')
    .describe(
      'Replicated: a fixed number of shards, more replicas with more nodes. Fixed: one pod for each shard, whatever the ' +
        'nodes. Expandable: as many shards as the nodes ask for. Groups: shards with replicas of their own. Partial: ' +
        'small clusters may leave shards without a pod.',
    ),
  strategy: z.enum(['manual']).default('manual').describe('The number of shards is never chosen automatically.'),
  servicePerShard: z.boolean().default(false).describe('Keep a Service for each shard, ksm-<name>-shard-<id>.'),
  shardCount: z.int().min(2).max(10).optional().describe('Replicated, Fixed: number of shards. Default 3.'),
  replicationStrategy: z
    .enum(['round-robin', 'least-loaded', 'zone-aware'])
    .optional()
    .describe(
      'Replicated: which shard gets the next replica. round-robin (default): pod index modulo shardCount. least-loaded: ' +
        'the shard with the most objects for each ready replica. zone-aware: a shard that has no pod in a zone.',
    ),
  minReplicasPerShard: z
    .int()
    .min(1)
    .max(MAX_REPLICAS)
    .optional()
    .describe('Replicated: fewest pods of a shard. Default 1.'),
  maxReplicasPerShard: z
    .int()
    .min(0)
    .max(MAX_REPLICAS)
    .optional()
    .describe('Replicated: most pods of a shard. Default 0: no limit.'),
  minimumShards: z.int().min(2).max(10).optional().describe('Fixed: fewest shards, also when shardCount is lower.'),
  baseShardCount: z.int().min(1).max(MAX_REPLICAS).optional().describe('Expandable: fewest shards. Default 3.'),
  allowDynamicExpansion: z
    .boolean()
    .optional()
    .describe(
      'Expandable: add shards when the nodes ask for more than baseShardCount. Every change of the number of shards ' +
        'replaces all pods. Default false.',
    ),
  preventContraction: z
    .boolean()
    .optional()
    .describe('Expandable: keep the highest number of shards reached, instead of going back to fewer. Default false.'),
  shardGroups: z.int().min(2).max(10).optional().describe('Groups: number of groups; each is one shard. Default 3.'),
  scalingStrategy: z
    .enum(['fixed', 'dynamic'])
    .optional()
    .describe(
      'Groups: fixed keeps minReplicasPerGroup pods in each group; dynamic deals one pod for every nodesPerReplica nodes over the groups. Default fixed.',
    ),
  minReplicasPerGroup: z
    .int()
    .min(1)
    .max(MAX_REPLICAS)
    .optional()
    .describe('Groups: fewest pods of a group. Default 1.'),
  nodesPerReplica: z
    .int()
    .min(1)
    .max(100_000)
    .optional()
    .describe('Groups with scalingStrategy dynamic: nodes for each pod. Default nodesPerMonitor.'),
  maxShards: z.int().min(1).max(MAX_REPLICAS).optional().describe('Partial: number of shards. Default 3.'),
  acceptIncompleteBelowNodes: z
    .int()
    .min(0)
    .max(1_000_000)
    .optional()
    .describe('Partial: with fewer nodes, shards may be left without a pod. Default 0: never.'),
  minCoveragePercent: z
    .int()
    .min(0)
    .max(100)
    .optional()
    .describe('Partial: least percentage of the shards that must have a pod. Default 0.'),
  distribution: distribution().optional().describe('Where the sharded pods run, and how many may be evicted at once.'),
  advanced: advanced()
    .optional()
    .describe('Older form of distribution. A field that is set in distribution wins over the same one here.'),
});

type ShardingFields = z.output<typeof shardingFields>;

const isModeField = (name: string): name is ModeField => name in MODE_FIELDS;

function modeRule(field: ModeField): Rule<ShardingFields> {
  const modes: readonly KsmShardingMode[] = MODE_FIELDS[field];
  return {
    cel: `!has(self.${field}) || self.mode in [${modes.map((mode) => `'${mode}'`).join(', ')}]`,
    message: `${field} is a field of ${modes.length === 1 ? 'mode' : 'modes'} ${modes.join(' and ')}: remove it, or set sharding.mode`,
    fieldPath: `.${field}`,
    check: (sharding) => sharding[field] === undefined || modes.includes(sharding.mode),
  };
}

export const sharding = () =>
  withRules(shardingFields, [
    ...Object.keys(MODE_FIELDS).filter(isModeField).map(modeRule),
    {
      cel:
        '!has(self.maxReplicasPerShard) || self.maxReplicasPerShard == 0 || self.maxReplicasPerShard >= ' +
        '(has(self.minReplicasPerShard) ? self.minReplicasPerShard : 1)',
      message: 'maxReplicasPerShard must be 0, for no limit, or not below minReplicasPerShard',
      fieldPath: '.maxReplicasPerShard',
      check: ({ maxReplicasPerShard: max = 0, minReplicasPerShard: min = 1 }) => max === 0 || max >= min,
    },
    {
      cel: "!has(self.nodesPerReplica) || (has(self.scalingStrategy) && self.scalingStrategy == 'dynamic')",
      message: 'nodesPerReplica is a field of scalingStrategy dynamic: remove it, or set sharding.scalingStrategy',
      fieldPath: '.nodesPerReplica',
      check: ({ nodesPerReplica, scalingStrategy }) => nodesPerReplica === undefined || scalingStrategy === 'dynamic',
    },
  ]);
