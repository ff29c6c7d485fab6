import { z } from 'zod';
import { readCustomResourceState } from './custom-resource-state.ts';
import { type Rule, withRules } from './rules.ts';

/** The part of a ShardConfig's spec that says how kube-state-metrics is run. */

/** Default image of the exporter: the release that the worker's proxy is tested with. */
export const DEFAULT_EXPORTER_IMAGE = 'registry.k8s.io/kube-state-metrics/kube-state-metrics:v2.20.0';

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
