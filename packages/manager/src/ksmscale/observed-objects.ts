import { z } from 'zod';
import type { Parsed } from '@shard-controller/shared/kubernetes';
import type { ObservedNode, ObservedObject, ObservedPod } from './planning/index.ts';

/** The parts of Kubernetes objects that a KSMScale is planned by. */

type Raw = Readonly<Record<string, unknown>>;

const ownerSchema = z.looseObject({ uid: z.string(), controller: z.boolean().nullish() });

const metadataSchema = z.looseObject({
  name: z.string(),
  namespace: z.string().default(''),
  uid: z.string(),
  resourceVersion: z.string(),
  creationTimestamp: z.string().nullish(),
  deletionTimestamp: z.string().nullish(),
  labels: z.record(z.string(), z.string()).nullish(),
  ownerReferences: z.array(ownerSchema).nullish(),
});

const nodeSchema = z.looseObject({ metadata: metadataSchema });

const waitingSchema = z.looseObject({ reason: z.string().default(''), message: z.string().default('') });

const podSchema = z.looseObject({
  metadata: metadataSchema,
  spec: z.looseObject({ nodeName: z.string().optional() }).prefault({}),
  status: z
    .looseObject({
      phase: z.string().optional(),
      podIP: z.string().optional(),
      conditions: z
        .array(z.looseObject({ type: z.string(), status: z.string(), message: z.string().optional() }))
        .nullish(),
      containerStatuses: z
        .array(z.looseObject({ state: z.looseObject({ waiting: waitingSchema.optional() }).optional() }))
        .nullish(),
    })
    .prefault({}),
});

type PodStatus = z.infer<typeof podSchema>['status'];

const objectSchema = z.looseObject({
  kind: z.enum(['Service', 'PodDisruptionBudget']),
  metadata: metadataSchema,
  spec: z.unknown(),
});

const ZONE_LABEL = 'topology.kubernetes.io/zone';

export const parseNode = (raw: Raw): Parsed<ObservedNode> =>
  parsed(nodeSchema, raw, ({ metadata: { name, labels } }) => ({ name, zone: labels?.[ZONE_LABEL] }));

export const parsePod = (raw: Raw): Parsed<ObservedPod> =>
  parsed(podSchema, raw, ({ metadata, spec, status }) => ({
    namespace: metadata.namespace,
    name: metadata.name,
    uid: metadata.uid,
    labels: metadata.labels ?? {},
    controllerUid: metadata.ownerReferences?.find(({ controller }) => controller === true)?.uid,
    createdMs: Date.parse(metadata.creationTimestamp ?? '') || 0,
    isReady: conditionOf(status, 'Ready')?.status === 'True',
    isFinished: status.phase === 'Failed' || status.phase === 'Succeeded',
    deletionMs: metadata.deletionTimestamp == null ? undefined : Date.parse(metadata.deletionTimestamp),
    node: spec.nodeName,
    address: status.podIP,
    problem: problemOf(status),
  }));

export const parseObject = (raw: Raw): Parsed<ObservedObject> =>
  parsed(objectSchema, raw, ({ kind, metadata, spec }) => ({
    kind,
    namespace: metadata.namespace,
    name: metadata.name,
    uid: metadata.uid,
    resourceVersion: metadata.resourceVersion,
    labels: metadata.labels ?? {},
    ownerUids: (metadata.ownerReferences ?? []).map(({ uid }) => uid),
    spec,
  }));

const conditionOf = ({ conditions }: PodStatus, type: string) =>
  conditions?.find((condition) => condition.type === type);

/** What the scheduler or the kubelet says, if it is waited for. */
function problemOf(status: PodStatus): string | undefined {
  const scheduled = conditionOf(status, 'PodScheduled');
  if (scheduled?.status === 'False') return scheduled.message ?? 'it is not scheduled';
  const waiting = status.containerStatuses?.find(({ state }) => state?.waiting !== undefined)?.state?.waiting;
  if (waiting === undefined || waiting.reason === 'ContainerCreating') return undefined;
  return waiting.message === '' ? waiting.reason : `${waiting.reason}: ${waiting.message}`;
}

function parsed<S extends z.ZodType, T>(schema: S, raw: Raw, map: (value: z.output<S>) => T): Parsed<T> {
  const result = schema.safeParse(raw);
  if (result.success) return { ok: true, value: map(result.data) };
  return { ok: false, problems: result.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`) };
}
