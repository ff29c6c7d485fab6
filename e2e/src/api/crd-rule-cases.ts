/** For each CEL rule of the CRDs one object that the API server must take and one that it must refuse. */

export type Kind = 'ShardConfig' | 'ShardInstance' | 'KSMScale';
export type Fields = Readonly<Record<string, unknown>>;

export interface RuleCase {
  readonly kind: Kind;
  /** Where the rule stands in the schema, `spec.shards`; `` is the object itself. */
  readonly at: string;
  /** The rule's message, exactly. */
  readonly message: string;
  /** For transition rules: the object that is there before. */
  readonly before?: Fields;
  /** Fields of the spec, over those of a valid object. */
  readonly accepted: Fields;
  readonly rejected: Fields;
  /** Names, where the rule is about them. */
  readonly names?: { readonly accepted: string; readonly rejected: string };
}

const range = (start: number, end: number): Fields => ({ start, end });
const moving = (start: number, end: number): Fields => ({ start, end, migration: 'm-1' });
const START_AND_END = 'start must not be above end';

const IMMUTABLE_SETTING = 'is immutable: create a new ShardConfig and move over to it';
const OWN_FLAGS =
  'the controller sets these flags, use the fields of the ShardConfig instead: apiserver, kubeconfig, host, port, ' +
  'telemetry-host, telemetry-port, auth-filter, tls-config, resources, metric-labels-allowlist, ' +
  'metric-annotations-allowlist, custom-resource-state-config, custom-resource-state-config-file, config, shard, ' +
  'total-shards, pod, pod-namespace';

const resourceCase = (field: string): RuleCase => ({
  kind: 'ShardConfig',
  at: `spec.${field}`,
  message: 'a request must not be above the limit of the same resource',
  accepted: { [field]: { requests: { cpu: 2, memory: '1024Ki' }, limits: { cpu: '2000m', memory: '1Mi' } } },
  rejected: { [field]: { requests: { cpu: '200m', memory: '513Mi' }, limits: { cpu: 1, memory: '512Mi' } } },
});

const longArguments = Array.from({ length: 4 }, () => `--namespaces-denylist=${'n'.repeat(32_000 - 22)}`);
const longItem = (length: number): string => `pods=[${'k'.repeat(length - 7)}]`;
/** A configuration without kinds whose comment has this many characters of two bytes. */
const definitions = (characters: number): string => `spec: {resources: []} # ${'ä'.repeat(characters)}`;

const shardConfigCases: readonly RuleCase[] = [
  {
    kind: 'ShardConfig',
    at: '',
    message:
      'the name must be a DNS label of at most 40 characters that begins with a letter, because pods are named after it',
    accepted: {},
    rejected: {},
    names: { accepted: `n${'a'.repeat(39)}`, rejected: `n${'a'.repeat(40)}` },
  },
  {
    kind: 'ShardConfig',
    at: 'spec',
    message: 'minShards must not be above maxShards',
    accepted: { minShards: 3, maxShards: 3 },
    rejected: { minShards: 4, maxShards: 3 },
  },
  {
    kind: 'ShardConfig',
    at: 'spec',
    message: 'scaleDownThreshold must be below scaleUpThreshold, or shards would be added and removed in turns',
    accepted: { scaleDownThreshold: 0.5, scaleUpThreshold: 0.51 },
    rejected: { scaleDownThreshold: 0.5, scaleUpThreshold: 0.5 },
  },
  {
    kind: 'ShardConfig',
    at: 'spec',
    message: 'maxShards must not be above slots: a shard needs at least one slot',
    accepted: { maxShards: 64, slots: 64 },
    rejected: { maxShards: 65, slots: 64 },
  },
  {
    kind: 'ShardConfig',
    at: 'spec',
    message: 'mode Manual needs shards: set the number of shards',
    accepted: { mode: 'Manual', shards: 2 },
    rejected: { mode: 'Manual' },
  },
  {
    kind: 'ShardConfig',
    at: 'spec',
    message: 'in mode Manual shards must be from minShards to maxShards',
    accepted: { mode: 'Manual', shards: 10 },
    rejected: { mode: 'Manual', shards: 11 },
  },
  {
    kind: 'ShardConfig',
    at: 'spec.slots',
    message: 'must be a power of two',
    accepted: { slots: 4096 },
    rejected: { slots: 300 },
  },
  {
    kind: 'ShardConfig',
    at: 'spec.slots',
    message: IMMUTABLE_SETTING,
    before: { slots: 128 },
    accepted: { slots: 128, maxShards: 5 },
    rejected: { slots: 256 },
  },
  {
    kind: 'ShardConfig',
    at: 'spec.shardBy',
    message: IMMUTABLE_SETTING,
    before: { shardBy: 'namespace' },
    accepted: { shardBy: 'namespace', maxShards: 5 },
    rejected: { shardBy: 'uid' },
  },
  resourceCase('resources'),
  resourceCase('workerResources'),
  {
    kind: 'ShardConfig',
    at: 'spec.exporter.extraArgs',
    message: OWN_FLAGS,
    accepted: { exporter: { extraArgs: ['--namespaces=a,b', '--enable-gzip-encoding'] } },
    rejected: { exporter: { extraArgs: ['--namespaces=a,b', '--kubeconfig=/tmp/k'] } },
  },
  {
    kind: 'ShardConfig',
    at: 'spec.podLabels',
    message: 'labels under shard.io/ and app.kubernetes.io/ are set by the controller',
    accepted: { podLabels: { 'example.com/team': 'metrics' } },
    rejected: { podLabels: { 'shard.io/config': 'mine' } },
  },
  {
    kind: 'ShardConfig',
    at: 'spec.exporter.extraArgs',
    message: 'all arguments together must not be longer than 128000 bytes',
    accepted: { exporter: { extraArgs: longArguments } },
    rejected: { exporter: { extraArgs: [...longArguments, '--v=4'] } },
  },
  ...(['labelsAllowlist', 'annotationsAllowlist'] as const).flatMap((field): RuleCase[] => [
    {
      kind: 'ShardConfig',
      at: `spec.exporter.${field}`,
      message: 'the items together must not be longer than 131000 bytes, because they are one argument of a process',
      accepted: { exporter: { [field]: Array.from({ length: 31 }, () => longItem(4096)) } },
      rejected: { exporter: { [field]: Array.from({ length: 32 }, () => longItem(4096)) } },
    },
    {
      kind: 'ShardConfig',
      at: 'spec.exporter',
      message:
        `each item of ${field} must begin with the plural name of an exported kind, like pods=[team]: ` +
        "a kind in exporter.resources, or in kube-state-metrics' default set if that is absent",
      accepted: { exporter: { resources: ['roles'], [field]: ['roles=[team]', '*=[app]'] } },
      rejected: { exporter: { [field]: ['pods=[team]', 'deployment=[team]'] } },
    },
  ]),
  {
    kind: 'ShardConfig',
    at: 'spec.exporter.customResourceState',
    message: 'must not be longer than 131000 bytes, because it is one argument of a process',
    accepted: { exporter: { customResourceState: definitions(40_000) } },
    rejected: { exporter: { customResourceState: definitions(70_000) } },
  },
  ...(['podLabels', 'podAnnotations', 'nodeSelector'] as const).map(
    (field): RuleCase => ({
      kind: 'ShardConfig',
      at: `spec.${field}`,
      message: 'each key must be a qualified name, like team or example.com/team',
      accepted: { [field]: { team: '' } },
      rejected: { [field]: { 'my team': 'metrics' } },
    }),
  ),
  {
    kind: 'ShardConfig',
    at: 'spec.podAnnotations',
    message: 'annotations together must not be longer than 250000 bytes',
    accepted: { podAnnotations: { 'Example.com/a': 'x'.repeat(16_384) } },
    rejected: {
      podAnnotations: Object.fromEntries(Array.from({ length: 16 }, (_, i) => [`a${i}`, 'x'.repeat(16_384)])),
    },
  },
  {
    kind: 'ShardConfig',
    at: 'spec.tolerations[]',
    message: 'without a key the operator must be Exists',
    accepted: { tolerations: [{ operator: 'Exists' }] },
    rejected: { tolerations: [{ value: 'a' }] },
  },
  {
    kind: 'ShardConfig',
    at: 'spec.tolerations[]',
    message: 'operator Exists takes no value',
    accepted: { tolerations: [{ key: 'a', operator: 'Equal', value: 'b' }] },
    rejected: { tolerations: [{ key: 'a', operator: 'Exists', value: 'b' }] },
  },
  {
    kind: 'ShardConfig',
    at: 'spec.tolerations[]',
    message: 'tolerationSeconds needs effect NoExecute',
    accepted: { tolerations: [{ key: 'a', operator: 'Exists', effect: 'NoExecute', tolerationSeconds: 5 }] },
    rejected: { tolerations: [{ key: 'a', operator: 'Exists', tolerationSeconds: 5 }] },
  },
];

const IMMUTABLE = 'is immutable';
const ONE_ASSIGNMENT =
  'a pair of generation and epoch names one assignment: ranges and the active replica change only together with a larger epoch';

const shardInstanceCases: readonly RuleCase[] = [
  {
    kind: 'ShardInstance',
    at: '',
    message: 'the name must be <shardConfigRef.name>-<shardId>',
    accepted: { shardConfigRef: { name: 'name', uid: 'u' }, shardId: 'shard-007' },
    rejected: { shardConfigRef: { name: 'name', uid: 'u' }, shardId: 'shard-007' },
    names: { accepted: 'name-shard-007', rejected: 'name-shard-008' },
  },
  {
    kind: 'ShardInstance',
    at: 'spec',
    message: 'generation and epoch only grow: this assignment is older than the one in force',
    before: { generation: 2, epoch: 10 },
    accepted: { generation: 3, epoch: 1 },
    rejected: { generation: 2, epoch: 9 },
  },
  {
    kind: 'ShardInstance',
    at: 'spec',
    message: ONE_ASSIGNMENT,
    before: { generation: 1, epoch: 5, hashRanges: [range(0, 67108863)] },
    accepted: { generation: 1, epoch: 6, hashRanges: [range(0, 134217727)] },
    rejected: { generation: 1, epoch: 5, hashRanges: [range(0, 134217727)] },
  },
  {
    kind: 'ShardInstance',
    at: 'spec.shardConfigRef',
    message: IMMUTABLE,
    before: {},
    accepted: { epoch: 100 },
    rejected: { epoch: 100, shardConfigRef: { uid: 'another' } },
  },
  {
    kind: 'ShardInstance',
    at: 'spec.shardId',
    message: IMMUTABLE,
    before: {},
    accepted: { epoch: 100 },
    rejected: { epoch: 100, shardId: 'shard-099' },
  },
  {
    kind: 'ShardInstance',
    at: 'spec.slotCount',
    message: IMMUTABLE,
    before: {},
    accepted: { epoch: 100 },
    rejected: { epoch: 100, slotCount: 512 },
  },
  {
    kind: 'ShardInstance',
    at: 'spec.shardBy',
    message: IMMUTABLE,
    before: {},
    accepted: { epoch: 100 },
    rejected: { epoch: 100, shardBy: 'namespace' },
  },
  {
    kind: 'ShardInstance',
    at: 'spec.hashRanges[]',
    message: START_AND_END,
    accepted: { hashRanges: [range(5, 5)] },
    rejected: { hashRanges: [range(0, 1), range(6, 5)] },
  },
  {
    kind: 'ShardInstance',
    at: 'spec.warmRanges[]',
    message: START_AND_END,
    accepted: { warmRanges: [moving(0, 4294967295)] },
    rejected: { warmRanges: [moving(4294967295, 0)] },
  },
  {
    kind: 'ShardInstance',
    at: 'spec.releaseRanges[]',
    message: START_AND_END,
    accepted: { releaseRanges: [moving(0, 4294967295)] },
    rejected: { releaseRanges: [moving(4294967295, 0)] },
  },
  {
    kind: 'ShardInstance',
    at: 'spec.keepRanges[]',
    message: START_AND_END,
    accepted: { keepRanges: [range(0, 4294967295)] },
    rejected: { keepRanges: [range(4294967295, 0)] },
  },
];

export const RULE_CASES: readonly RuleCase[] = [...shardConfigCases, ...shardInstanceCases];

/** What the plain schema refuses, without a rule. The text is part of the API server's answer. */
export interface SchemaCase {
  readonly name: string;
  readonly kind: Kind;
  readonly accepted: Fields;
  readonly rejected: Fields;
  readonly answer: string;
}

const config = (name: string, accepted: Fields, rejected: Fields, answer: string): SchemaCase => ({
  name,
  kind: 'ShardConfig',
  accepted,
  rejected,
  answer,
});

export const SCHEMA_CASES: readonly SchemaCase[] = [
  config(
    'an unknown strategy',
    { loadBalanceStrategy: 'least-loaded' },
    { loadBalanceStrategy: 'random' },
    'spec.loadBalanceStrategy: Unsupported value: "random": supported values: "consistent-hash", "round-robin", "least-loaded"',
  ),
  config('an unknown mode', { mode: 'Paused' }, { mode: 'auto' }, 'spec.mode: Unsupported value'),
  config('no shard at all', { minShards: 1 }, { minShards: 0 }, 'spec.minShards'),
  config(
    'more shards than names',
    { maxShards: 1000, slots: 1024 },
    { maxShards: 1001, slots: 4096 },
    'spec.maxShards',
  ),
  config('a third replica', { replicasPerShard: 2 }, { replicasPerShard: 3 }, 'spec.replicasPerShard'),
  config('a threshold of 0', { scaleUpThreshold: 1 }, { scaleUpThreshold: 0 }, 'spec.scaleUpThreshold'),
  config(
    'a duration without a unit',
    { healthCheckInterval: '30s' },
    { healthCheckInterval: '30' },
    'healthCheckInterval',
  ),
  config(
    'a quantity that is none',
    { resources: { limits: { memory: '1.5Gi' } } },
    { resources: { limits: { memory: '1.5 GB' } } },
    'spec.resources.limits.memory',
  ),
  config('a capacity of 0', { capacity: { objects: 1 } }, { capacity: { objects: 0 } }, 'spec.capacity.objects'),
  config(
    'two targets for one series',
    { scaling: { customMetrics: [{ name: 'a', targetPerShard: 1 }] } },
    {
      scaling: {
        customMetrics: [
          { name: 'a', targetPerShard: 1 },
          { name: 'a', targetPerShard: 2 },
        ],
      },
    },
    'spec.scaling.customMetrics[1]: Duplicate value',
  ),
  config(
    'an allow-list in another form',
    { exporter: { labelsAllowlist: ['pods=[*]', 'nodes=[a,b]', '*=[team]', 'pods=[app.kubernetes.io/*, team]'] } },
    { exporter: { labelsAllowlist: ['pods'] } },
    'spec.exporter.labelsAllowlist[0]',
  ),
  config(
    'an allow-list with two wildcards in a key',
    { exporter: { annotationsAllowlist: ['pods=[]'] } },
    { exporter: { annotationsAllowlist: ['pods=[*/*]'] } },
    'spec.exporter.annotationsAllowlist[0]',
  ),
  config(
    'an image with a blank',
    { exporter: { image: 'registry.local:5000/a/ksm@sha256:0a' } },
    { exporter: { image: 'ksm: v2' } },
    'spec.exporter.image',
  ),
  config(
    'a kind named twice',
    { exporter: { resources: ['pods', 'nodes'] } },
    { exporter: { resources: ['pods', 'pods'] } },
    'spec.exporter.resources[1]: Duplicate value',
  ),
  {
    name: 'a shard id of another form',
    kind: 'ShardInstance',
    accepted: { shardId: 'shard-01234' },
    rejected: { shardId: 'shard-1' },
    answer: 'spec.shardId',
  },
  {
    name: 'a range beyond 32 bits',
    kind: 'ShardInstance',
    accepted: { hashRanges: [range(0, 4294967295)] },
    rejected: { hashRanges: [range(0, 4294967296)] },
    answer: 'spec.hashRanges[0].end',
  },
  {
    name: 'a moving range without its migration',
    kind: 'ShardInstance',
    accepted: { warmRanges: [moving(0, 1)] },
    rejected: { warmRanges: [range(0, 1)] },
    answer: 'spec.warmRanges[0].migration: Required value',
  },
];
