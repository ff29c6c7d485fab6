import { z } from 'zod';
import { readCustomResourceState } from './custom-resource-state.ts';
import { count, duration, labels, quantity } from './fields.ts';
import { withRules } from './rules.ts';

/** The nested parts of a ShardConfig's spec. */

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;

/** Default image of the exporter: the release that the worker's proxy is tested with. */
export const DEFAULT_EXPORTER_IMAGE = 'registry.k8s.io/kube-state-metrics/kube-state-metrics:v2.20.0';

/** What load 1.0 means. Scaling goes by objects; the load that a worker reports is the largest of all ratios. */
export const capacity = () =>
  z.object({
    objects: z.int().min(1).max(100_000_000).default(50_000).describe('Objects that a shard exports at load 1.0.'),
    expositionBytes: quantity()
      .optional()
      .describe("Size of a shard's /metrics answer at load 1.0, like 64Mi. Only in the load of ShardInstances."),
    memory: quantity()
      .optional()
      .describe(
        'Resident memory of worker and exporter together at load 1.0, like 400Mi. Only in the load of ShardInstances.',
      ),
    scrapeDuration: duration(10, 10 * MINUTE)
      .optional()
      .describe('Time the exporter takes for one scrape at load 1.0. Only in the load of ShardInstances.'),
    queueDepth: z
      .int()
      .min(1)
      .max(100_000_000)
      .optional()
      .describe('Events waiting for the exporter of a shard at load 1.0. Only in the load of ShardInstances.'),
  });

const customMetric = () =>
  z.object({
    name: z
      .string()
      .min(1)
      .max(200)
      .regex(/^[a-zA-Z_:][a-zA-Z0-9_:]*$/)
      .describe("Name of a series in the exporter's own telemetry."),
    matchLabels: labels().optional().describe('Only series with these labels count; their values are added up.'),
    targetPerShard: z.number().gt(0).max(1e15).describe('Value per shard above which one more shard is wanted.'),
  });

export const scaling = () =>
  z.object({
    sustainedPeriod: duration(SECOND, 24 * HOUR)
      .default('30s')
      .describe('How long load must stay above scaleUpThreshold before shards are added.'),
    scaleUpCooldown: duration(0, 24 * HOUR)
      .default('1m')
      .describe('Time after any scaling operation before shards are added again.'),
    scaleDownCooldown: duration(0, 24 * HOUR)
      .default('5m')
      .describe(
        'How long load must stay below scaleDownThreshold, and time after any scaling operation, before shards go.',
      ),
    stepLimit: z.int().min(1).max(1000).default(2).describe('Most shards added or removed by one operation.'),
    queueDepth: z
      .int()
      .min(1)
      .max(100_000_000)
      .optional()
      .describe('Not used yet. Events waiting for the exporter of one shard above which a shard is added.'),
    customMetrics: z
      .array(customMetric())
      .max(16)
      .optional()
      .meta({ 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': ['name'] })
      .describe('Not used yet. Series that ask for shards: wanted shards = value / targetPerShard, rounded up.'),
  });

export const rebalance = () =>
  z.object({
    tolerance: z
      .number()
      .min(0)
      .max(1)
      .default(0.1)
      .describe(
        "Not used yet. least-loaded only: a shard's share of the cost may differ from the mean by this fraction.",
      ),
    moveBudget: z.int().min(1).max(4096).default(64).describe('Not used yet. Most slots moved by one rebalancing.'),
    interval: duration(SECOND, 24 * HOUR)
      .default('1m')
      .describe('Not used yet. Least time between two rebalancings.'),
  });

export const handover = () =>
  z.object({
    scraperTTL: duration(SECOND, 24 * HOUR)
      .default('5m')
      .describe('A client that read /metrics within this time counts as a scraper that must see the target first.'),
    maxOverlap: duration(SECOND, 24 * HOUR)
      .default('2m')
      .describe('Longest time that two shards expose a slot while waiting for scrapers.'),
    preparationTimeout: duration(SECOND, HOUR)
      .default('1m')
      .describe('Time for the target to begin loading the moving slots.'),
    transferTimeout: duration(SECOND, HOUR)
      .default('2m')
      .describe('Time for the target to load and expose the moving slots.'),
    verificationTimeout: duration(SECOND, HOUR)
      .default('30s')
      .describe('Time for source and target to prove that they hold the same objects.'),
    releaseTimeout: duration(SECOND, HOUR)
      .default('1m')
      .describe(
        'Not used yet: it is transferTimeout. Time for the source to stop exposing the moved slots before it is reported.',
      ),
  });

/** Flags that the controller sets, or that would bypass the sharding. */
const OWN_FLAGS = [
  'apiserver',
  'kubeconfig',
  'host',
  'port',
  'telemetry-host',
  'telemetry-port',
  'auth-filter',
  'tls-config',
  'resources',
  'metric-labels-allowlist',
  'metric-annotations-allowlist',
  'custom-resource-state-config',
  'custom-resource-state-config-file',
  'config',
  'shard',
  'total-shards',
  'pod',
  'pod-namespace',
] as const;
const OWN_FLAG = new RegExp(`^--(${OWN_FLAGS.join('|')})(=|$)`);

const allowlist = () =>
  z
    .array(
      z
        .string()
        .min(1)
        .max(4096)
        .regex(/^[a-z0-9.*-]+=\[[^[\]]*\]$/),
    )
    .max(100);

const extraArgs = () =>
  withRules(
    z
      .array(
        z
          .string()
          .max(1024)
          .regex(/^--[a-z]/),
      )
      .max(64),
    [
      {
        cel: `self.all(arg, !arg.matches('${OWN_FLAG.source}'))`,
        message: `these flags are set by the controller, use the fields of the ShardConfig: ${OWN_FLAGS.join(', ')}`,
        check: (args) => !args.some((arg) => OWN_FLAG.test(arg)),
      },
    ],
  );

/** CEL cannot read YAML, so this rule stands here only: what the API server took may still be an invalid spec. */
const customResourceState = () =>
  z
    .string()
    .min(1)
    .max(131_072)
    .superRefine((text, context) => {
      const read = readCustomResourceState(text);
      if (read.ok) return;
      for (const message of read.problems) context.addIssue({ code: 'custom', message });
    });

/** The unmodified kube-state-metrics beside each worker. */
export const exporter = () =>
  z.object({
    image: z.string().min(1).max(500).default(DEFAULT_EXPORTER_IMAGE).describe('Image of kube-state-metrics.'),
    resources: z
      .array(
        z
          .string()
          .min(1)
          .max(120)
          .regex(/^[a-z0-9.]+$/),
      )
      .min(1)
      .max(100)
      .optional()
      .meta({ 'x-kubernetes-list-type': 'set' })
      .describe("Kinds to export by plural name, like pods; absent means the exporter's default set."),
    labelsAllowlist: allowlist()
      .optional()
      .describe("Kubernetes labels to export per kind, in kube-state-metrics' form: pods=[app,team]."),
    annotationsAllowlist: allowlist()
      .optional()
      .describe("Kubernetes annotations to export per kind, in kube-state-metrics' form: pods=[example.com/owner]."),
    customResourceState: customResourceState()
      .optional()
      .describe('Configuration of custom-resource-state metrics, as YAML text.'),
    extraArgs: extraArgs().optional().describe('Further flags of kube-state-metrics.'),
  });

export const distribution = () =>
  z.object({
    spreadAcrossZones: z.boolean().default(true).describe('Prefer to put worker pods into different zones.'),
    spreadAcrossNodes: z.boolean().default(true).describe('Prefer to put worker pods on different nodes.'),
    enablePDB: z.boolean().default(true).describe('Keep a PodDisruptionBudget for the worker pods.'),
    maxUnavailable: z.int().min(1).max(1000).default(1).describe('Most worker pods that an eviction may take at once.'),
  });

export const coverage = () =>
  z.object({
    configuredShards: count().describe('Shards that should serve.'),
    activeShards: count().describe('Shards that are healthy, or silent for a moment only.'),
    coveragePercent: z.number().min(0).max(100),
    missingShards: z.array(z.string().max(20)).max(1000).describe('Shards that are neither.'),
    warning: z.string().max(1024).optional(),
  });

export const decision = () =>
  z.object({
    action: z.string().min(1).max(63).describe('Type of the event that holds the decision, like shard.scaled.v1.'),
    reason: z.string().min(1).max(128).describe('The same as one word, like Scaled.'),
    message: z.string().max(1024).describe('Why, as a sentence with the figures that led to it.'),
    time: z.iso.datetime({ offset: true }),
    epoch: count().optional().describe('Newest event of the log.'),
  });
