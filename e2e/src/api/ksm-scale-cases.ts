import type { Fields, RuleCase, SchemaCase } from './crd-rule-cases.ts';

/** For each CEL rule of a KSMScale one object that the API server must take and one that it must refuse. */

const kind = 'KSMScale';

const sharded = (mode: string, fields: Fields = {}): Fields => ({ sharding: { enabled: true, mode, ...fields } });

/** A field, the modes that use it, a value that they take, and a mode that does not use it. */
const MODE_FIELDS: readonly (readonly [field: string, modes: string, value: unknown, other: string])[] = [
  ['shardCount', 'modes Replicated and Fixed', 5, 'Groups'],
  ['replicationStrategy', 'mode Replicated', 'zone-aware', 'Fixed'],
  ['minReplicasPerShard', 'mode Replicated', 2, 'Partial'],
  ['maxReplicasPerShard', 'mode Replicated', 4, 'Expandable'],
  ['minimumShards', 'mode Fixed', 3, 'Replicated'],
  ['baseShardCount', 'mode Expandable', 3, 'Replicated'],
  ['allowDynamicExpansion', 'mode Expandable', true, 'Groups'],
  ['preventContraction', 'mode Expandable', false, 'Fixed'],
  ['shardGroups', 'mode Groups', 3, 'Replicated'],
  ['scalingStrategy', 'mode Groups', 'dynamic', 'Partial'],
  ['minReplicasPerGroup', 'mode Groups', 2, 'Fixed'],
  ['nodesPerReplica', 'mode Groups', 15, 'Expandable'],
  ['maxShards', 'mode Partial', 5, 'Expandable'],
  ['acceptIncompleteBelowNodes', 'mode Partial', 30, 'Groups'],
  ['minCoveragePercent', 'mode Partial', 60, 'Replicated'],
];

const modeCases: readonly RuleCase[] = MODE_FIELDS.map(([field, modes, value, other]) => {
  const [, mode = ''] = modes.split(' ');
  // One field is bound to another one of the same mode.
  const fields = { [field]: value, ...(field === 'nodesPerReplica' ? { scalingStrategy: 'dynamic' } : {}) };
  return {
    kind,
    at: 'spec.sharding',
    message: `${field} is a field of ${modes}: remove it, or set sharding.mode`,
    accepted: sharded(mode, fields),
    rejected: sharded(other, { [field]: value }),
  };
});

export const KSM_SCALE_CASES: readonly RuleCase[] = [
  {
    kind,
    at: '',
    message: 'the name must be a DNS label of at most 48 characters: pods and Services are named after it',
    accepted: {},
    rejected: {},
    names: { accepted: `n${'a'.repeat(47)}`, rejected: `n${'a'.repeat(48)}` },
  },
  {
    kind,
    at: 'spec',
    message: 'replicas is not used in mode Fixed, nor in mode Groups with scalingStrategy fixed: remove it',
    accepted: { replicas: 4, ...sharded('Groups', { scalingStrategy: 'dynamic' }) },
    rejected: { replicas: 4, ...sharded('Fixed') },
  },
  {
    kind,
    at: 'spec.resources',
    message: 'a request must not be above the limit of the same resource',
    accepted: { resources: { requests: { cpu: '100m', memory: '150Mi' }, limits: { cpu: '200m', memory: '300Mi' } } },
    rejected: { resources: { requests: { memory: '301Mi' }, limits: { memory: '300Mi' } } },
  },
  {
    kind,
    at: 'spec.sharding',
    message: 'maxReplicasPerShard must be 0, for no limit, or not below minReplicasPerShard',
    accepted: sharded('Replicated', { minReplicasPerShard: 3, maxReplicasPerShard: 0 }),
    rejected: sharded('Replicated', { minReplicasPerShard: 3, maxReplicasPerShard: 2 }),
  },
  {
    kind,
    at: 'spec.sharding',
    message: 'nodesPerReplica is a field of scalingStrategy dynamic: remove it, or set sharding.scalingStrategy',
    accepted: sharded('Groups', { scalingStrategy: 'dynamic', nodesPerReplica: 20 }),
    rejected: sharded('Groups', { nodesPerReplica: 20 }),
  },
  ...modeCases,
];

export const KSM_SCALE_SCHEMA_CASES: readonly SchemaCase[] = [
  {
    name: 'a ratio below 9',
    kind,
    accepted: { nodesPerMonitor: 9 },
    rejected: { nodesPerMonitor: 8 },
    answer: 'spec.nodesPerMonitor',
  },
  {
    name: 'more than 10 shards',
    kind,
    accepted: sharded('Replicated', { shardCount: 10 }),
    rejected: sharded('Replicated', { shardCount: 11 }),
    answer: 'spec.sharding.shardCount',
  },
  {
    name: 'an unknown mode of sharding',
    kind,
    accepted: sharded('Expandable'),
    rejected: sharded('Automatic'),
    answer: 'spec.sharding.mode: Unsupported value',
  },
];
