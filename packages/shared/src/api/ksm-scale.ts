import { isRecord } from '../runtime/index.ts';
import { z } from 'zod';
import { metadataSchema, resourceRequirements } from './fields.ts';
import { KSM_SCALE_API_VERSION, KSM_SCALE_KIND } from './group.ts';
import { sharding } from './ksm-scale-sharding.ts';
import { ksmScaleStatusSchema } from './ksm-scale-status.ts';
import { withRules } from './rules.ts';
import { IMAGE } from './exporter-section.ts';

/** Default image of a KSMScale's pods. */
const DEFAULT_MONITOR_IMAGE = 'registry.k8s.io/kube-state-metrics/kube-state-metrics:v2.10.1';

const namespace = () =>
  z
    .string()
    .min(1)
    .max(63)
    .regex(/^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/);

const specFields = z.object({
  nodesPerMonitor: z.int().min(9).max(100_000).default(15).describe('Nodes for each kube-state-metrics pod.'),
  replicas: z
    .int()
    .min(0)
    .max(10_000)
    .optional()
    .describe(
      'Wanted pods, instead of one for every nodesPerMonitor nodes. Set by kubectl scale and by autoscalers through the ' +
        'scale subresource. Bounds of the sharding mode win.',
    ),
  monitorImage: z
    .string()
    .min(1)
    .max(500)
    .regex(IMAGE)
    .default(DEFAULT_MONITOR_IMAGE)
    .describe('Image of kube-state-metrics.'),
  namespace: namespace()
    .default('monitoring')
    .describe('Namespace of the pods. It needs the ServiceAccount kube-state-metrics.'),
  resources: resourceRequirements().optional().describe('Compute resources of a pod.'),
  sharding: sharding().optional().describe('How the objects are divided over the pods; absent: every pod exports all.'),
});

export const ksmScaleSpecSchema = withRules(specFields, [
  {
    cel:
      "!has(self.replicas) || !has(self.sharding) || !self.sharding.enabled || !(self.sharding.mode == 'Fixed' || " +
      "(self.sharding.mode == 'Groups' && (!has(self.sharding.scalingStrategy) || self.sharding.scalingStrategy == 'fixed')))",
    message: 'replicas is not used in mode Fixed, nor in mode Groups with scalingStrategy fixed: remove it',
    fieldPath: '.replicas',
    check: ({ replicas, sharding: block }) =>
      replicas === undefined ||
      block === undefined ||
      !block.enabled ||
      !(block.mode === 'Fixed' || (block.mode === 'Groups' && (block.scalingStrategy ?? 'fixed') === 'fixed')),
  },
])
  .prefault({})
  .describe('What the user wants.');

/** Longest name of a KSMScale: `ksm-<name>-shard-<id>` names a Service. */
const MAX_NAME = 48;
const NAME = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/;

export const ksmScaleSchema = withRules(
  z.object({
    apiVersion: z.literal(KSM_SCALE_API_VERSION),
    kind: z.literal(KSM_SCALE_KIND),
    metadata: metadataSchema.omit({ namespace: true }),
    spec: ksmScaleSpecSchema,
    status: ksmScaleStatusSchema.optional(),
  }),
  [
    {
      cel: `self.metadata.name.size() <= ${MAX_NAME} && self.metadata.name.matches('${NAME.source}')`,
      message: `the name must be a DNS label of at most ${MAX_NAME} characters: pods and Services are named after it`,
      check: ({ metadata: { name } }) => name.length <= MAX_NAME && NAME.test(name),
    },
  ],
).describe('kube-state-metrics pods for a cluster of changing size: as many as its nodes ask for.');

export type KsmScaleSpec = z.output<typeof ksmScaleSpecSchema>;
/** The spec as a user writes it, defaults left out. */
export type KsmScaleSpecInput = z.input<typeof ksmScaleSpecSchema>;
export type KsmScale = z.output<typeof ksmScaleSchema>;
export type KsmSharding = NonNullable<KsmScaleSpec['sharding']>;

/**
 * Objects of the time before these bounds may hold 0 or '' where nothing was said. It means the default, as it did then,
 * except where 0 says something.
 */
export function withoutZeros(raw: unknown): unknown {
  if (!isRecord(raw) || !isRecord(raw['spec'])) return raw;
  const { replicas, sharding: block, ...spec } = raw['spec'];
  const { distribution, advanced, ...rest } = isRecord(block) ? block : {};
  return {
    ...raw,
    spec: {
      ...nonZero(spec),
      ...(replicas === undefined ? {} : { replicas }),
      ...(isRecord(block)
        ? {
            sharding: {
              ...nonZero(rest),
              ...(distribution === undefined ? {} : { distribution }),
              ...(advanced === undefined ? {} : { advanced: isRecord(advanced) ? nonZero(advanced) : advanced }),
            },
          }
        : block === undefined
          ? {}
          : { sharding: block }),
    },
  };
}

const nonZero = (fields: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== 0 && value !== '' && value !== null));
