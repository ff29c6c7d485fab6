import { z } from 'zod';
import { readCustomResourceState } from './custom-resource-state.ts';
import { count, duration, labels, quantity } from './fields.ts';
import { type Rule, withRules } from './rules.ts';

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
    matchLabels: labels().optional().describe('Only series with these labels count; their values are summed.'),
    targetPerShard: z.number().gt(0).max(1e15).describe('Value per shard above which one more shard is needed.'),
  });

export const scaling = () =>
  z.object({
    sustainedPeriod: duration(SECOND, 24 * HOUR)
      .default('30s')
      .describe('Time that the load must stay above scaleUpThreshold before shards are added.'),
    scaleUpCooldown: duration(0, 24 * HOUR)
      .default('1m')
      .describe('Time after any scaling operation before shards are added again.'),
    scaleDownCooldown: duration(0, 24 * HOUR)
      .default('5m')
      .describe(
        'Time that the load must stay below scaleDownThreshold, and time after any scaling operation, before shards are removed.',
      ),
    stepLimit: z
      .int()
      .min(1)
      .max(1000)
      .default(2)
      .describe('Maximum number of shards that one operation adds or removes.'),
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
      .describe('Not used yet. Series that request shards: requested shards = value / targetPerShard, rounded up.'),
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
    moveBudget: z
      .int()
      .min(1)
      .max(4096)
      .default(64)
      .describe('Not used yet. Maximum number of slots that one rebalancing moves.'),
    interval: duration(SECOND, 24 * HOUR)
      .default('1m')
      .describe('Not used yet. Minimum interval between two rebalancings.'),
  });

export const handover = () =>
  z.object({
    scraperTTL: duration(SECOND, 24 * HOUR)
      .default('5m')
      .describe(
        'A slot move waits for a scraper of the old worker until it has read the new one, has been silent for this long, or has missed three of its usual intervals.',
      ),
    maxOverlap: duration(SECOND, 24 * HOUR)
      .default('2m')
      .describe('Maximum time that two shards expose a slot while they wait for scrapers.'),
    preparationTimeout: duration(SECOND, HOUR)
      .default('1m')
      .describe('Time within which the target must begin to load the moving slots.'),
    transferTimeout: duration(SECOND, HOUR)
      .default('2m')
      .describe('Time within which the target must load and expose the moving slots.'),
    verificationTimeout: duration(SECOND, HOUR)
      .default('30s')
      .describe('Time within which source and target must prove that they hold the same objects.'),
    releaseTimeout: duration(SECOND, HOUR)
      .default('1m')
      .describe(
        'Not used yet; transferTimeout applies instead. Time within which the source must stop exposing the moved slots before the delay is reported.',
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

/** Linux gives one argument of a process, and one variable of its environment, 128 KiB; the flag's name needs some. */
const MAX_ARGUMENT_BYTES = 131_000;

const sumOfSizes = (items: readonly string[]): number => items.reduce((sum, item) => sum + Buffer.byteLength(item), 0);

const LABEL_KEY = '[A-Za-z0-9._/-]';
/** One key, or a pattern with one `*`, as kube-state-metrics takes them. */
const KEY_PATTERN = `(${LABEL_KEY}+\\*?${LABEL_KEY}*|\\*${LABEL_KEY}*)`;
const ALLOWLIST_ITEM = new RegExp(`^(\\*|[a-z0-9.-]+)=\\[(${KEY_PATTERN}(, ?${KEY_PATTERN})*)?\\]$`);

const allowlist = () =>
  withRules(z.array(z.string().min(1).max(4096).regex(ALLOWLIST_ITEM)).max(100), [
    {
      cel: `self.map(item, item.size() + 1).sum() <= ${MAX_ARGUMENT_BYTES}`,
      message: `the items together must not be longer than ${MAX_ARGUMENT_BYTES} bytes, because they are one argument of a process`,
      check: (items) => sumOfSizes(items) + items.length <= MAX_ARGUMENT_BYTES,
    },
  ]);

/** Longest of the further arguments, in characters of up to 4 bytes, and all of them together, in bytes. */
const MAX_EXTRA_ARG = 32_000;
const MAX_EXTRA_ARGS_BYTES = 128_000;

const extraArgs = () =>
  withRules(
    z
      .array(
        z
          .string()
          .max(MAX_EXTRA_ARG)
          .regex(/^--[a-z]/),
      )
      .max(64),
    [
      {
        cel: `self.all(arg, ![${OWN_FLAGS.map((flag) => `'--${flag}'`).join(', ')}].exists(flag, arg == flag || arg.startsWith(flag + '=')))`,
        message: `the controller sets these flags, use the fields of the ShardConfig instead: ${OWN_FLAGS.join(', ')}`,
        check: (args) => !args.some((arg) => OWN_FLAG.test(arg)),
      },
      {
        cel: `self.map(arg, bytes(arg).size()).sum() <= ${MAX_EXTRA_ARGS_BYTES}`,
        message: `all arguments together must not be longer than ${MAX_EXTRA_ARGS_BYTES} bytes`,
        check: (args) => sumOfSizes(args) <= MAX_EXTRA_ARGS_BYTES,
      },
    ],
  );

/** CEL cannot read YAML, so that rule stands here only: what the API server took may still be an invalid spec. */
const customResourceState = () =>
  withRules(z.string().min(1).max(MAX_ARGUMENT_BYTES), [
    {
      cel: `bytes(self).size() <= ${MAX_ARGUMENT_BYTES}`,
      message: `must not be longer than ${MAX_ARGUMENT_BYTES} bytes, because it is one argument of a process`,
      check: (text) => Buffer.byteLength(text) <= MAX_ARGUMENT_BYTES,
    },
  ]).superRefine((text, context) => {
    const read = readCustomResourceState(text);
    if (read.ok) return;
    for (const message of read.problems) context.addIssue({ code: 'custom', message });
  });

/**
 * What kube-state-metrics exports when no kinds are given: the default set of 2.20, and endpoints, which older
 * ones have in theirs (`DefaultResources` in its pkg/options/resource.go).
 */
const DEFAULT_KINDS = [
  'certificatesigningrequests',
  'configmaps',
  'cronjobs',
  'daemonsets',
  'deployments',
  'endpoints',
  'endpointslices',
  'horizontalpodautoscalers',
  'ingresses',
  'jobs',
  'leases',
  'limitranges',
  'mutatingadmissionpolicies',
  'mutatingadmissionpolicybindings',
  'mutatingwebhookconfigurations',
  'namespaces',
  'networkpolicies',
  'nodes',
  'persistentvolumeclaims',
  'persistentvolumes',
  'poddisruptionbudgets',
  'pods',
  'replicasets',
  'replicationcontrollers',
  'resourcequotas',
  'secrets',
  'services',
  'statefulsets',
  'storageclasses',
  'validatingadmissionpolicies',
  'validatingadmissionpolicybindings',
  'validatingwebhookconfigurations',
  'volumeattachments',
] as const;

interface Exported {
  readonly resources?: readonly string[] | undefined;
  readonly labelsAllowlist?: readonly string[] | undefined;
  readonly annotationsAllowlist?: readonly string[] | undefined;
}

/** An item of a kind that is not exported would be dropped by kube-state-metrics without a word. */
const itemsAreExported = (field: 'labelsAllowlist' | 'annotationsAllowlist'): Rule<Exported> => ({
  cel:
    `!has(self.${field}) || self.${field}.all(item, item.startsWith('*=') || (has(self.resources) ? self.resources : ` +
    `[${DEFAULT_KINDS.map((kind) => `'${kind}'`).join(', ')}]).exists(kind, item.startsWith(kind + '=[')))`,
  message:
    `each item of ${field} must begin with the plural name of an exported kind, like pods=[team]: ` +
    `a kind in exporter.resources, or in kube-state-metrics' default set if that is absent`,
  fieldPath: `.${field}`,
  check: (exporter) =>
    (exporter[field] ?? []).every(
      (item) =>
        item.startsWith('*=') || (exporter.resources ?? DEFAULT_KINDS).some((kind) => item.startsWith(`${kind}=[`)),
    ),
});

/** A reference of an image: no blanks, nothing that a shell or a log would trip over. */
export const IMAGE = /^[A-Za-z0-9][A-Za-z0-9._:/@-]*$/;

const exporterFields = () =>
  z.object({
    image: z
      .string()
      .min(1)
      .max(500)
      .regex(IMAGE)
      .default(DEFAULT_EXPORTER_IMAGE)
      .describe('Image of kube-state-metrics.'),
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
      .describe(
        'Kubernetes labels to export per kind, in the syntax of kube-state-metrics: pods=[app,team]. Items of one kind are combined.',
      ),
    annotationsAllowlist: allowlist()
      .optional()
      .describe(
        'Kubernetes annotations to export per kind, in the syntax of kube-state-metrics: pods=[example.com/owner]. Items of one kind are combined.',
      ),
    customResourceState: customResourceState()
      .optional()
      .describe('Configuration of custom-resource-state metrics, as YAML text.'),
    extraArgs: extraArgs().optional().describe('Additional flags of kube-state-metrics.'),
  });

/** The unmodified kube-state-metrics beside each worker. */
export const exporter = () =>
  withRules(exporterFields(), [itemsAreExported('labelsAllowlist'), itemsAreExported('annotationsAllowlist')]);

export const distribution = () =>
  z.object({
    spreadAcrossZones: z.boolean().default(true).describe('Prefer to put worker pods into different zones.'),
    spreadAcrossNodes: z.boolean().default(true).describe('Prefer to put worker pods on different nodes.'),
    enablePDB: z.boolean().default(true).describe('Maintain a PodDisruptionBudget for the worker pods.'),
    maxUnavailable: z
      .int()
      .min(1)
      .max(1000)
      .default(1)
      .describe('Maximum number of worker pods that evictions may take at once.'),
  });

export const coverage = () =>
  z.object({
    configuredShards: count().describe('Shards that should serve.'),
    activeShards: count().describe('Shards that are healthy, or silent only for a moment.'),
    coveragePercent: z.number().min(0).max(100),
    missingShards: z
      .array(z.string().max(20))
      .max(1000)
      .describe('Shards that are neither healthy nor silent only for a moment.'),
    warning: z.string().max(1024).optional(),
  });

export const decision = () =>
  z.object({
    action: z.string().min(1).max(63).describe('Type of the event that holds the decision, like shard.scaled.v1.'),
    reason: z.string().min(1).max(128).describe('Type of the decision as one word, like Scaled.'),
    message: z.string().max(1024).describe('Reason of the decision, as a sentence with the figures behind it.'),
    time: z.iso.datetime({ offset: true }),
    epoch: count().optional().describe('Sequence of the newest event in the log.'),
  });
