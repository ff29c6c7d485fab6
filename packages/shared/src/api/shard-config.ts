import { z } from 'zod';
import { isSlotCount } from '../hashing/index.ts';
import { exporter } from './exporter-section.ts';
import { conditions, count, duration, metadataSchema, ratio, resourceRequirements } from './fields.ts';
import { API_VERSION, SHARD_CONFIG_KIND } from './group.ts';
import { podFields } from './pod-fields.ts';
import { withRules } from './rules.ts';
import { capacity, coverage, decision, distribution, handover, rebalance, scaling } from './shard-config-sections.ts';

/** Most shards of one ShardConfig. */
export const MAX_SHARDS = 1000;

const SLOT_COUNTS = [64, 128, 256, 512, 1024, 2048, 4096] as const;

const shardCount = () => z.int().min(1).max(MAX_SHARDS);

const slots = () =>
  withRules(z.int().min(64).max(4096), [
    { cel: `self in [${SLOT_COUNTS.join(', ')}]`, message: 'must be a power of two', check: isSlotCount },
    { cel: 'self == oldSelf', message: 'is immutable: create a new ShardConfig and move over to it' },
  ]);

const shardBy = () =>
  withRules(z.enum(['uid', 'namespace']), [
    { cel: 'self == oldSelf', message: 'is immutable: create a new ShardConfig and move over to it' },
  ]);

const specFields = z.object({
  mode: z
    .enum(['Auto', 'Manual', 'Paused'])
    .default('Auto')
    .describe(
      'Auto: the number of shards follows the load. Manual: it is spec.shards. Paused: the controller begins no planned change, but still fails over.',
    ),
  minShards: shardCount().default(2).describe('Minimum number of shards.'),
  maxShards: shardCount().default(10).describe('Maximum number of shards; a rolling update adds one worker beyond it.'),
  shards: shardCount()
    .optional()
    .describe('Number of shards in mode Manual. kubectl scale and autoscalers set it through the scale subresource.'),
  replicasPerShard: z
    .int()
    .min(1)
    .max(2)
    .default(1)
    .describe('Workers per shard: 2 keeps a hot standby for each shard.'),
  scaleUpThreshold: z.number().gt(0).max(1).default(0.8).describe('Load above which shards are added, 0 to 1.'),
  scaleDownThreshold: z.number().min(0).max(1).default(0.3).describe('Load below which shards are removed, 0 to 1.'),
  loadBalanceStrategy: z
    .enum(['consistent-hash', 'round-robin', 'least-loaded'])
    .default('consistent-hash')
    .describe('How slots are distributed over shards.'),
  healthCheckInterval: duration(500, 300_000)
    .default('2s')
    .describe(
      'Interval of the health checks of a shard; it bounds how fast a failure is found. Less than 1.5s counts as 1.5s, because workers report every second.',
    ),
  slots: slots().default(256).describe('Number of slots of the hash space: a power of two from 64 to 4096. Immutable.'),
  shardBy: shardBy()
    .default('uid')
    .describe(
      'What is hashed: the uid of each object, or its namespace. By namespace, all cluster-scoped objects share one slot. Immutable.',
    ),
  resources: resourceRequirements().optional().describe("Compute resources of a worker pod's exporter container."),
  workerResources: resourceRequirements().optional().describe("Compute resources of a worker pod's worker container."),
  capacity: capacity().prefault({}).describe('What load 1.0 of a shard means.'),
  scaling: scaling().prefault({}).describe('When and how fast the number of shards changes in mode Auto.'),
  rebalance: rebalance()
    .prefault({})
    .describe('When slots move between shards while the number of shards stays the same.'),
  handover: handover().prefault({}).describe('How a slot moves from one shard to another.'),
  isolation: z
    .enum(['Serve', 'Fence'])
    .default('Serve')
    .describe(
      'What a worker does when it reaches neither the API server nor NATS: Serve keeps serving (duplicates rather than loss), Fence answers 503.',
    ),
  exporter: exporter().prefault({}).describe('The kube-state-metrics beside each worker.'),
  distribution: distribution()
    .prefault({})
    .describe('Where worker pods run, and how many of them an eviction may take at once.'),
  ...podFields(),
});

export const shardConfigSpecSchema = withRules(specFields, [
  {
    cel: 'self.minShards <= self.maxShards',
    message: 'minShards must not be above maxShards',
    fieldPath: '.minShards',
    check: (spec) => spec.minShards <= spec.maxShards,
  },
  {
    cel: 'self.scaleDownThreshold < self.scaleUpThreshold',
    message: 'scaleDownThreshold must be below scaleUpThreshold, or shards would be added and removed in turns',
    fieldPath: '.scaleDownThreshold',
    check: (spec) => spec.scaleDownThreshold < spec.scaleUpThreshold,
  },
  {
    cel: 'self.maxShards <= self.slots',
    message: 'maxShards must not be above slots: a shard needs at least one slot',
    fieldPath: '.maxShards',
    check: (spec) => spec.maxShards <= spec.slots,
  },
  {
    cel: "self.mode != 'Manual' || has(self.shards)",
    message: 'mode Manual needs shards: set the number of shards',
    fieldPath: '.mode',
    check: (spec) => spec.mode !== 'Manual' || spec.shards !== undefined,
  },
  {
    cel: "self.mode != 'Manual' || !has(self.shards) || (self.shards >= self.minShards && self.shards <= self.maxShards)",
    message: 'in mode Manual shards must be from minShards to maxShards',
    fieldPath: '.shards',
    check: (spec) =>
      spec.mode !== 'Manual' ||
      spec.shards === undefined ||
      (spec.shards >= spec.minShards && spec.shards <= spec.maxShards),
  },
]).describe('Desired state of the fleet.');

export const shardConfigStatusSchema = z
  .object({
    observedGeneration: count().optional().describe('metadata.generation that this status describes.'),
    conditions: conditions().optional().describe('Ready, Progressing, Degraded and ScalingLimited.'),
    shards: count().optional().describe('Shards that exist.'),
    readyShards: count().optional().describe('Desired shards that are healthy, or silent only for a moment.'),
    desiredShards: count().optional().describe('Number of shards that the controller works towards.'),
    updatedShards: count().optional().describe('Shards whose workers run the newest revision.'),
    revision: z.string().max(63).optional().describe('Newest revision of the worker pods.'),
    selector: z.string().max(1024).optional().describe('Label selector of the worker pods, for autoscalers.'),
    load: ratio().optional().describe('Mean load of the shards; 1.0 is their capacity.'),
    logGeneration: count()
      .optional()
      .describe('Incarnation of the event log; raised when the log was lost or restored.'),
    epoch: count().optional().describe('Sequence of the newest event in the log.'),
    openMigrations: count().optional().describe('Migrations in progress.'),
    coverage: coverage().optional().describe('How many of the shards serve.'),
    lastDecision: decision()
      .optional()
      .describe('The last decision about the number of shards or the owners of slots.'),
  })
  .describe('Observed state of the fleet.');

const NAME = /^[a-z]([-a-z0-9]*[a-z0-9])?$/;

export const shardConfigSchema = withRules(
  z.object({
    apiVersion: z.literal(API_VERSION),
    kind: z.literal(SHARD_CONFIG_KIND),
    metadata: metadataSchema,
    spec: shardConfigSpecSchema,
    status: shardConfigStatusSchema.optional(),
  }),
  [
    {
      cel: `self.metadata.name.size() <= 40 && self.metadata.name.matches('${NAME.source}')`,
      message:
        'the name must be a DNS label of at most 40 characters that begins with a letter, because pods are named after it',
      check: ({ metadata: { name } }) => name.length <= 40 && NAME.test(name),
    },
  ],
).describe(
  'A fleet of kube-state-metrics that share the objects of a cluster, and that resizes without losing a series.',
);

export type ShardConfigSpec = z.output<typeof shardConfigSpecSchema>;
/** The spec as a user writes it, defaults left out. */
export type ShardConfigSpecInput = z.input<typeof shardConfigSpecSchema>;
export type ShardConfigStatus = z.output<typeof shardConfigStatusSchema>;
export type ShardConfig = z.output<typeof shardConfigSchema>;
