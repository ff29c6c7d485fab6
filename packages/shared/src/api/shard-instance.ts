import { z } from 'zod';
import {
  hashRangeSchema,
  MAX_UNAVAILABLE,
  migratingRangeSchema,
  shardIdSchema,
  unavailableKindSchema,
} from '../contracts/index.ts';
import { conditions, count, dateTime, metadataSchema, ratio } from './fields.ts';
import { API_VERSION, SHARD_INSTANCE_KIND } from './group.ts';
import { withRules } from './rules.ts';

/** Most ranges in one list: every second slot of 4096. */
const MAX_RANGES = 2048;

const startBeforeEnd = {
  cel: 'self.start <= self.end',
  message: 'start must not be above end',
  fieldPath: '.start',
  check: (range: { readonly start: number; readonly end: number }) => range.start <= range.end,
} as const;

const hashRanges = () => z.array(withRules(hashRangeSchema.strip(), [startBeforeEnd])).max(MAX_RANGES);
const migratingRanges = () => z.array(withRules(migratingRangeSchema.strip(), [startBeforeEnd])).max(MAX_RANGES);

const IMMUTABLE = { cel: 'self == oldSelf', message: 'is immutable' } as const;

const specFields = z.object({
  shardConfigRef: withRules(z.object({ name: z.string().min(1).max(40), uid: z.string().min(1).max(64) }), [
    IMMUTABLE,
  ]).describe('The ShardConfig that this shard belongs to.'),
  shardId: withRules(shardIdSchema.max(11), [IMMUTABLE]).describe('shard- and the ordinal of its pod in three digits.'),
  generation: z.int().min(1).describe('Incarnation of the event log that caused this assignment.'),
  epoch: count().describe('Sequence of the event that caused this assignment.'),
  activeReplica: z
    .enum(['a', 'b'])
    .optional()
    .describe('The replica that serves if the shard has a hot standby; absent means a, the only replica.'),
  slotCount: withRules(z.int().min(64).max(4096), [IMMUTABLE]).describe('Number of slots of the hash space.'),
  shardBy: withRules(z.enum(['uid', 'namespace']), [IMMUTABLE]).describe(
    'What is hashed: the uid or the namespace of an object.',
  ),
  hashRanges: hashRanges()
    .default([])
    .describe(
      'Slots that the shard is responsible for, as ranges of the top 32 bits of the hash, both ends inclusive.',
    ),
  warmRanges: migratingRanges()
    .default([])
    .describe('Slots that the shard loads and exposes while another shard is still responsible.'),
  releaseRanges: migratingRanges()
    .default([])
    .describe('Slots that the shard stops exposing, because another shard is responsible and has been scraped.'),
  keepRanges: hashRanges()
    .optional()
    .describe(
      'Slots that the shard keeps exposing, although another shard is responsible, until that shard shows them.',
    ),
});

export const shardInstanceSpecSchema = withRules(specFields, [
  {
    cel:
      'self.generation > oldSelf.generation || ' +
      '(self.generation == oldSelf.generation && self.epoch >= oldSelf.epoch)',
    message: 'generation and epoch only grow: this assignment is older than the one in force',
    fieldPath: '.epoch',
  },
  {
    cel:
      'self.generation != oldSelf.generation || self.epoch != oldSelf.epoch || (self.hashRanges == oldSelf.hashRanges && ' +
      'self.warmRanges == oldSelf.warmRanges && self.releaseRanges == oldSelf.releaseRanges && ' +
      "(has(self.activeReplica) ? self.activeReplica : '') == (has(oldSelf.activeReplica) ? oldSelf.activeReplica : ''))",
    message:
      'a pair of generation and epoch names one assignment: ranges and the active replica change only together with a larger epoch',
    fieldPath: '.epoch',
  },
]).describe('The assignment of the shard, written by the manager.');

const phase = () => z.enum(['Pending', 'Warming', 'Running', 'Draining', 'Failed', 'Terminated']);

const assignedResources = () => z.array(z.string().max(140)).max(500).meta({ 'x-kubernetes-list-type': 'atomic' });

const handoverProgress = () =>
  z.object({
    migration: z.string().min(1).max(63),
    role: z.enum(['target', 'source']),
    state: z.enum(['warming', 'acknowledged', 'failed', 'releasing', 'released']),
    objects: count().optional().describe('Objects of the moving slots.'),
    acknowledgedAt: dateTime().optional().describe("When the target's exposition was complete."),
    error: z.string().max(500).optional(),
    without: count()
      .optional()
      .describe('Number of kinds that the slots move without, because the worker cannot read them now.'),
  });

const unavailableKinds = () =>
  z
    .array(
      z.object({
        kind: unavailableKindSchema.shape.kind.describe('Kind as RBAC names it, like pods or widgets.example.com.'),
        cause: unavailableKindSchema.shape.cause.describe('Why the kind cannot be read, in one word.'),
        message: unavailableKindSchema.shape.message.describe('Message of the API server, and the remedy.'),
        since: dateTime(),
        mending: z.boolean().optional().describe('The kind can be read again and is loading.'),
      }),
    )
    .max(MAX_UNAVAILABLE)
    .meta({ 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': ['kind'] });

const replicaStatusSchema = z.object({
  replica: z.enum(['a', 'b']).describe('The first worker of the shard is a, the hot standby is b.'),
  pod: z.string().max(253).optional(),
  node: z.string().max(253).optional(),
  boot: z.string().max(64).optional().describe('Random id of this start of the worker process.'),
  revision: z.string().max(63).optional().describe('Revision of the pod template that the worker runs.'),
  phase: phase(),
  load: ratio().optional().describe('Load; 1.0 is the capacity of the shard.'),
  lastHeartbeat: dateTime().optional(),
  assignedResources: assignedResources().optional().describe('Objects per kind, like "pods: 1234".'),
  generation: count().optional().describe('Generation of the assignment in force.'),
  epoch: count().optional().describe('Epoch of the assignment in force.'),
  slots: z
    .object({ assigned: count(), acknowledged: count() })
    .optional()
    .describe('Number of assigned slots, and of completely exposed ones.'),
  gateway: z.string().max(200).optional().describe('State of /metrics, with the reason if it does not serve.'),
  refused: z.string().max(600).optional().describe('Why a newer assignment was refused.'),
  unavailable: unavailableKinds()
    .optional()
    .describe('Kinds that the worker cannot read now; slots move without them.'),
  handovers: z
    .array(handoverProgress())
    .max(256)
    .optional()
    .meta({ 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': ['migration', 'role'] })
    .describe('Progress of the migrations that the assignment names.'),
});

export const shardInstanceStatusSchema = z
  .object({
    phase: phase().optional().describe('Phase of the active replica.'),
    load: ratio().optional().describe('Load of the active replica.'),
    lastHeartbeat: dateTime().optional().describe('Last heartbeat of the active replica.'),
    assignedResources: assignedResources().optional().describe('Objects per kind of the active replica.'),
    conditions: conditions().optional(),
    replicas: z
      .array(replicaStatusSchema)
      .max(2)
      .optional()
      .meta({ 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': ['replica'] })
      .describe('One entry per worker of the shard; each worker writes its own.'),
  })
  .describe('What the workers of the shard report.');

export const shardInstanceSchema = withRules(
  z.object({
    apiVersion: z.literal(API_VERSION),
    kind: z.literal(SHARD_INSTANCE_KIND),
    metadata: metadataSchema,
    spec: shardInstanceSpecSchema,
    status: shardInstanceStatusSchema.optional(),
  }),
  [
    {
      cel: "self.metadata.name == self.spec.shardConfigRef.name + '-' + self.spec.shardId",
      message: 'the name must be <shardConfigRef.name>-<shardId>',
      check: ({ metadata, spec }) => metadata.name === `${spec.shardConfigRef.name}-${spec.shardId}`,
    },
  ],
).describe('One shard of a ShardConfig: the slots that it is responsible for, and the state of its workers.');

export type ShardInstanceSpec = z.output<typeof shardInstanceSpecSchema>;
export type ReplicaStatus = z.output<typeof replicaStatusSchema>;
export type ShardPhase = ReplicaStatus['phase'];
export type ShardInstanceStatus = z.output<typeof shardInstanceStatusSchema>;
export type ShardInstance = z.output<typeof shardInstanceSchema>;
