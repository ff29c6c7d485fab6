import { z } from 'zod';
import { shardIdOf, SURGE } from '../aggregate/index.ts';
import type { Desired } from '../decision/index.ts';
import { type PodRole, statefulSetName } from '../naming/index.ts';

/** Why a wanted worker does not run, in the words of who refuses it. */
export interface PodProblem {
  readonly pod: string;
  readonly shardId: string;
  /** PodRefused, PodUnschedulable, ImagePullFailed, ...: CamelCase. */
  readonly reason: string;
  readonly message: string;
}

/** A pod that should exist. */
export interface WantedPod {
  readonly name: string;
  readonly shardId: string;
  readonly statefulSet: string;
}

/** Something said about an object of the namespace: the part of a core/v1 Event that is read. */
export interface SeenEvent {
  readonly reason: string;
  readonly message: string;
  readonly type: string;
  /** ms since the epoch. */
  readonly at: number;
}

const eventSchema = z.object({
  reason: z.string().default(''),
  message: z.string().default(''),
  type: z.string().default(''),
  eventTime: z.string().nullish(),
  firstTimestamp: z.string().nullish(),
  lastTimestamp: z.string().nullish(),
  series: z.object({ lastObservedTime: z.string().nullish() }).nullish(),
  metadata: z.object({ creationTimestamp: z.string().nullish() }).default({}),
});

/** An event, or undefined when it is of another form. */
export function parseEvent(raw: unknown): SeenEvent | undefined {
  const parsed = eventSchema.safeParse(raw);
  if (!parsed.success) return undefined;
  const { reason, message, type, eventTime, firstTimestamp, lastTimestamp, series, metadata } = parsed.data;
  const at = series?.lastObservedTime ?? lastTimestamp ?? eventTime ?? firstTimestamp ?? metadata.creationTimestamp;
  return { reason, message, type, at: at == null ? 0 : Date.parse(at) };
}

/** The pods of `config` that should exist. */
export function wantedPods(config: string, { statefulSets, surge }: Desired): readonly WantedPod[] {
  const of = (role: PodRole, shardId: string, ordinal: number): WantedPod => {
    const statefulSet = statefulSetName(config, role);
    return { name: `${statefulSet}-${ordinal}`, shardId, statefulSet };
  };
  return [
    ...statefulSets.flatMap(({ replica, replicas }) =>
      Array.from({ length: replicas }, (_, ordinal) => of(replica, shardIdOf(ordinal), ordinal)),
    ),
    ...(surge ? [of('surge', SURGE, Number(SURGE.slice('shard-'.length)))] : []),
  ];
}

/**
 * `create Pod main-a-1 in StatefulSet main-a failed error: <sentence>`, as the StatefulSet controller says it; newer ones
 * begin with a capital.
 */
const CREATED = /[Cc]reate Pod (\S+) in StatefulSet \S+ (?:(successful)|failed error: ([\s\S]*))$/;

/** What the API server answered when the pod was last to be created; undefined when it was created, or the answer is not known. */
export function refusalOf(pod: string, events: readonly SeenEvent[]): string | undefined {
  const newest = events
    .flatMap(({ message, at }) => {
      const [, name, successful, error] = CREATED.exec(message) ?? [];
      return name === pod ? [{ error: successful === undefined ? error : undefined, at }] : [];
    })
    .toSorted((a, b) => b.at - a.at);
  return newest[0]?.error;
}

/** The newest warning about a pod, for one that does not say itself why it does not start. */
export function newestWarning(events: readonly SeenEvent[]): string | undefined {
  const [newest] = events.filter(({ type }) => type === 'Warning').toSorted((a, b) => b.at - a.at);
  return newest === undefined ? undefined : `${newest.reason}: ${newest.message}`;
}
