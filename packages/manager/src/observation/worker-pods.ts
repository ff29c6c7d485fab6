import type { Replica } from '@shard-controller/shared/contracts';
import { z } from 'zod';
import { CONFIG_LABEL, REPLICA_LABEL, REVISION_LABEL } from '../naming/index.ts';

/** What the manager knows of a worker pod. */
export interface WorkerPod {
  readonly name: string;
  readonly uid: string;
  readonly config: string;
  readonly shardId: string;
  readonly replica: Replica;
  readonly revision: string;
  readonly node: string;
  readonly phase: string;
  readonly ready: boolean;
  /** Condition `Ready` is explicitly False, with its reason; a pod that merely starts has had no other yet. */
  readonly notReadyReason: string;
  readonly deleting: boolean;
  /** The `worker` container is terminated or waits to be started again. */
  readonly workerDown: boolean;
  /** What keeps it from running, in the words of the scheduler or the kubelet; undefined when nothing is said. */
  readonly trouble: PodTrouble | undefined;
  /** ms since the epoch. */
  readonly createdAt: number;
}

interface PodTrouble {
  /** CamelCase. */
  readonly reason: 'PodUnschedulable' | 'ImagePullFailed' | 'ContainerCrashes' | 'ContainerNotCreated' | 'PodFailed';
  readonly message: string;
}

const terminated = z.object({
  exitCode: z.int().optional(),
  reason: z.string().optional(),
  message: z.string().optional(),
});

const containerState = z.object({
  name: z.string(),
  state: z
    .object({
      waiting: z.object({ reason: z.string().optional(), message: z.string().optional() }).optional(),
      terminated: terminated.optional(),
    })
    .optional(),
  lastState: z.object({ terminated: terminated.optional() }).optional(),
  restartCount: z.int().optional(),
});

const podSchema = z.object({
  metadata: z.object({
    name: z.string(),
    uid: z.string(),
    creationTimestamp: z.string().optional(),
    deletionTimestamp: z.string().optional(),
    labels: z.record(z.string(), z.string()),
  }),
  spec: z.object({ nodeName: z.string().optional() }),
  status: z
    .object({
      phase: z.string().optional(),
      reason: z.string().optional(),
      message: z.string().optional(),
      conditions: z
        .array(
          z.object({
            type: z.string(),
            status: z.string(),
            reason: z.string().optional(),
            message: z.string().optional(),
          }),
        )
        .optional(),
      containerStatuses: z.array(containerState).optional(),
    })
    .optional(),
});

/** A pod of a worker StatefulSet, or why it is none. */
export function parseWorkerPod(
  raw: Readonly<Record<string, unknown>>,
): { readonly ok: true; readonly value: WorkerPod } | { readonly ok: false; readonly problems: readonly string[] } {
  const parsed = podSchema.safeParse(raw);
  if (!parsed.success) return { ok: false, problems: parsed.error.issues.map((issue) => issue.message) };
  const { metadata, spec, status } = parsed.data;
  const config = metadata.labels[CONFIG_LABEL];
  const role = metadata.labels[REPLICA_LABEL];
  const replica = role === 'surge' ? 'a' : role;
  const ordinal = /-([0-9]+)$/.exec(metadata.name)?.[1];
  // A copy of a worker's pod has its labels and another name.
  const isNamed = [replica, 's'].some((set) => metadata.name === `${config}-${set}-${ordinal}`);
  if (config === undefined || ordinal === undefined || !isNamed || (replica !== 'a' && replica !== 'b')) {
    return { ok: false, problems: [`pod ${metadata.name} does not have the name and labels of a worker`] };
  }
  const ready = status?.conditions?.find(({ type }) => type === 'Ready');
  const worker = status?.containerStatuses?.find(({ name }) => name === 'worker');
  const restarting = (worker?.restartCount ?? 0) > 0 && worker?.state?.waiting !== undefined;
  return {
    ok: true,
    value: {
      name: metadata.name,
      uid: metadata.uid,
      config,
      shardId: `shard-${ordinal.padStart(3, '0')}`,
      replica,
      revision: metadata.labels[REVISION_LABEL] ?? '',
      node: spec.nodeName ?? '',
      phase: status?.phase ?? 'Pending',
      ready: ready?.status === 'True',
      notReadyReason: ready?.status === 'True' || ready === undefined ? '' : (ready.reason ?? 'NotReady'),
      deleting: metadata.deletionTimestamp !== undefined,
      workerDown: worker?.state?.terminated !== undefined || restarting,
      trouble: troubleOf(status),
      createdAt: metadata.creationTimestamp === undefined ? 0 : Date.parse(metadata.creationTimestamp),
    },
  };
}

const WAITING: Readonly<Record<string, PodTrouble['reason']>> = {
  ErrImagePull: 'ImagePullFailed',
  ImagePullBackOff: 'ImagePullFailed',
  ErrImageNeverPull: 'ImagePullFailed',
  InvalidImageName: 'ImagePullFailed',
  ImageInspectError: 'ImagePullFailed',
  RegistryUnavailable: 'ImagePullFailed',
  CrashLoopBackOff: 'ContainerCrashes',
  CreateContainerConfigError: 'ContainerNotCreated',
  CreateContainerError: 'ContainerNotCreated',
  RunContainerError: 'ContainerNotCreated',
  PreCreateHookError: 'ContainerNotCreated',
  PreStartHookError: 'ContainerNotCreated',
};

function troubleOf(status: z.infer<typeof podSchema>['status']): PodTrouble | undefined {
  if (status?.phase === 'Failed') {
    return { reason: 'PodFailed', message: sentence(status.reason ?? 'Failed', status.message) };
  }
  const scheduled = status?.conditions?.find(({ type }) => type === 'PodScheduled');
  if (scheduled?.status === 'False') {
    return { reason: 'PodUnschedulable', message: scheduled.message ?? scheduled.reason ?? 'not scheduled' };
  }
  for (const { name, state, lastState } of status?.containerStatuses ?? []) {
    const waiting = state?.waiting;
    const reason = WAITING[waiting?.reason ?? ''];
    if (waiting?.reason === undefined || reason === undefined) continue;
    const last = lastState?.terminated;
    const ended =
      last === undefined
        ? ''
        : `; it exited with ${sentence(last.reason ?? '', last.message)} (${last.exitCode ?? '?'})`;
    return { reason, message: `container ${name}: ${sentence(waiting.reason, waiting.message)}${ended}` };
  }
  return undefined;
}

const sentence = (reason: string, message: string | undefined): string =>
  message === undefined || message === '' ? reason : `${reason}: ${message}`;
