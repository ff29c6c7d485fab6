import { z } from 'zod';
import { DurationError, formatGoDuration, parseGoDuration } from '../runtime/index.ts';
import { parseQuantity, QUANTITY_PATTERN } from './quantity.ts';
import { type Rule, withRules } from './rules.ts';

/** Building blocks of our custom resources. Each string, list, map and number is bounded: CEL costs are estimated from it. */

/** Go durations without the units below 1 ms, which no setting here needs. */
export const DURATION_PATTERN = /^([0-9]{1,7}(\.[0-9]{1,3})?(ms|s|m|h))+$/;

/** Highest resource or JetStream number that JSON carries exactly. */
const MAX_COUNT = Number.MAX_SAFE_INTEGER;

export const count = (): z.ZodInt => z.int().min(0).max(MAX_COUNT);

/** Dimensionless ratio; load may exceed 1. */
export const ratio = (): z.ZodNumber => z.number().min(0).max(1_000_000);

export const dateTime = (): z.ZodISODateTime => z.iso.datetime({ offset: true, precision: null });

function durationMs(text: string): number | undefined {
  try {
    return parseGoDuration(text);
  } catch (error) {
    if (error instanceof DurationError) return undefined;
    throw error;
  }
}

/** A Go duration string between two bounds, both inclusive, in ms. */
export function duration(minMs: number, maxMs: number): z.ZodString {
  const [min, max] = [formatGoDuration(minMs), formatGoDuration(maxMs)];
  return withRules(z.string().min(2).max(24).regex(DURATION_PATTERN), [
    {
      cel: `duration(self) >= duration('${min}') && duration(self) <= duration('${max}')`,
      message: `must be a duration from ${min} to ${max}, like 500ms, 30s or 5m`,
      check: (text) => {
        const ms = durationMs(text);
        return ms !== undefined && ms >= minMs && ms <= maxMs;
      },
    },
  ]);
}

/** A quantity, as a string or a whole number: `200m`, `256Mi`, `2`. */
export const quantity = () =>
  z
    .union([z.int().min(0), z.string().max(32).regex(QUANTITY_PATTERN)])
    .meta({ 'x-kubernetes-int-or-string': true, maxLength: 32, pattern: QUANTITY_PATTERN.source });

const RESOURCE_NAME = /^[a-z0-9]([-a-z0-9./]{0,61}[a-z0-9])?$/;

const quantities = () => z.record(z.string().max(63).regex(RESOURCE_NAME), quantity()).meta({ maxProperties: 8 });

interface Requirements {
  readonly requests?: Readonly<Record<string, string | number>> | undefined;
  readonly limits?: Readonly<Record<string, string | number>> | undefined;
}

/** Resources whose requests and limits the API server compares; see `requestsWithinLimits`. */
const COMPARED = ['cpu', 'memory', 'ephemeral-storage'] as const;

/**
 * Named resources instead of all: up to Kubernetes 1.33 or so a value that may be a number counts as a text of the
 * longest possible request, and eight of them cost more than a rule may. The parse compares every resource.
 */
const requestsWithinLimits: Rule<Requirements> = {
  cel:
    `!has(self.requests) || !has(self.limits) || [${COMPARED.map((name) => `'${name}'`).join(', ')}].all(name, ` +
    '!(name in self.requests) || !(name in self.limits) || ' +
    'quantity(string(self.requests[name])).compareTo(quantity(string(self.limits[name]))) <= 0)',
  message: 'a request must not be above the limit of the same resource',
  fieldPath: '.requests',
  check: ({ requests = {}, limits = {} }) =>
    Object.entries(requests).every(([name, request]) => {
      const limit = limits[name];
      return limit === undefined || (parseQuantity(request) ?? 0) <= (parseQuantity(limit) ?? 0);
    }),
};

/** CPU, memory and other compute resources of a container. */
export const resourceRequirements = () =>
  withRules(z.object({ requests: quantities().optional(), limits: quantities().optional() }), [requestsWithinLimits]);

const LABEL_VALUE = /^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$/;
const QUALIFIED_NAME = /^([a-z0-9]([-a-z0-9.]*[a-z0-9])?\/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$/;

export const labels = () =>
  z.record(z.string().max(317), z.string().max(63).regex(LABEL_VALUE)).meta({ maxProperties: 64 });

const keysMatch = (key: string, ofKey: (key: string) => string): Rule<Readonly<Record<string, string>>> => ({
  cel: `self.all(key, ${key}.matches('${QUALIFIED_NAME.source.replaceAll('\\', '\\\\')}'))`,
  message: 'each key must be a qualified name, like team or example.com/team',
  check: (value) => Object.keys(value).every((name) => QUALIFIED_NAME.test(ofKey(name))),
});

export const qualifiedKeys = keysMatch('key', (key) => key);

/** The prefix of an annotation may have capitals. */
const annotationKeys = keysMatch('key.lowerAscii()', (key) => key.toLowerCase());

/** Kubernetes takes 256 KiB of annotations on one object, keys included; some are set by the controller. */
const MAX_ANNOTATION_BYTES = 250_000;

export const annotations = () =>
  withRules(z.record(z.string().max(317), z.string().max(16_384)).meta({ maxProperties: 64 }), [
    annotationKeys,
    {
      cel: `self.map(key, key.size() + bytes(self[key]).size()).sum() <= ${MAX_ANNOTATION_BYTES}`,
      message: `annotations together must not be longer than ${MAX_ANNOTATION_BYTES} bytes`,
      check: (value) =>
        Object.entries(value).reduce((sum, entry) => sum + Buffer.byteLength(entry.join('')), 0) <=
        MAX_ANNOTATION_BYTES,
    },
  ]);

/** Labels that a node must have. */
export const nodeLabels = () => withRules(labels(), [qualifiedKeys]);

/** Name of another object in the same namespace. */
export const objectName = () =>
  z
    .string()
    .min(1)
    .max(253)
    .regex(/^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/);

const conditionSchema = z.object({
  type: z.string().min(1).max(63),
  status: z.enum(['True', 'False', 'Unknown']),
  observedGeneration: count().optional(),
  lastTransitionTime: dateTime(),
  reason: z
    .string()
    .min(1)
    .max(128)
    .regex(/^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$/),
  message: z.string().max(4096),
});

/** Condition in the form of `metav1.Condition`. */
export type Condition = z.infer<typeof conditionSchema>;

export const conditions = () =>
  z
    .array(conditionSchema)
    .max(16)
    .meta({ 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': ['type'] });

/** Object metadata as the API server sends it. Not part of a CRD's own schema. */
export const metadataSchema = z.looseObject({
  name: z.string().min(1).max(253),
  namespace: z.string().min(1).max(63),
  uid: z.string().min(1).max(64),
  resourceVersion: z.string().min(1),
  generation: z.int().min(0).optional(),
  creationTimestamp: z.string().optional(),
  deletionTimestamp: z.string().optional(),
  labels: z.record(z.string(), z.string()).optional(),
  annotations: z.record(z.string(), z.string()).optional(),
  finalizers: z.array(z.string()).optional(),
});

export type ObjectMetadata = z.infer<typeof metadataSchema>;
