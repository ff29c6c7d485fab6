import { PLACE_LABELS } from './places.ts';
import type { Place } from './places.ts';
import { isLive, isServing, type ObservedPod } from './observation.ts';
import { REVISION_LABEL, SHARD_LABEL, TOTAL_LABEL } from './labels.ts';

/** Which pods to make and which to delete, so that no shard loses its last serving pod while there is another way. */

export type Removal =
  | 'Finished'
  | 'NotNeeded'
  /** Its template or its place is another one now. */
  | 'Outdated'
  /** Its node does not answer: its name has to be free for the next one. */
  | 'Stuck';

interface PodRemoval {
  readonly pod: ObservedPod;
  readonly reason: Removal;
}

/** What is at a place now. */
export type Occupancy =
  | { readonly state: 'Missing' }
  /** Somebody else's pod has the name. */
  | { readonly state: 'Blocked'; readonly pod: ObservedPod }
  | { readonly state: 'Leaving' | 'Finished'; readonly pod: ObservedPod }
  | { readonly state: 'Outdated'; readonly serving: boolean; readonly pod: ObservedPod }
  | { readonly state: 'Starting' | 'Serving'; readonly pod: ObservedPod };

export interface OccupiedPlace {
  readonly place: Place;
  readonly now: Occupancy;
}

export interface PodPlan {
  readonly places: readonly OccupiedPlace[];
  readonly create: readonly Place[];
  readonly remove: readonly PodRemoval[];
}

export interface PodPlanInput {
  readonly scaleUid: string;
  readonly namespace: string;
  readonly places: readonly Place[];
  readonly revisionOf: (place: Place) => string;
  readonly pods: readonly ObservedPod[];
  readonly nowMs: number;
}

/** A pod that is still there so long after its grace period is not ended by its node any more. */
const STUCK_AFTER_MS = 30_000;

export function planPods(input: PodPlanInput): PodPlan {
  const places = input.places.map((place) => ({ place, now: occupancyOf(place, input) }));
  const held = new Set(places.flatMap(({ now }) => ('pod' in now ? now.pod.uid : [])));
  const surplus = input.pods.filter((pod) => !held.has(pod.uid) && belongsTo(pod, input.scaleUid));
  const gone = [...finished(places), ...surplusRemovals(places, surplus)];
  const remove = [
    ...input.pods.filter((pod) => isStuck(pod, input)).map((pod) => ({ pod, reason: 'Stuck' }) as const),
    ...gone,
    ...outdatedIdle(places),
    ...(gone.some(({ pod }) => isServing(pod)) ? [] : nextRenewal(places)),
  ];
  return { places, create: places.filter(({ now }) => now.state === 'Missing').map(({ place }) => place), remove };
}

/** Pods without a controller carry the labels and are taken for ours; those of another owner are left alone. */
const belongsTo = (pod: ObservedPod, scaleUid: string): boolean =>
  pod.controllerUid === undefined || pod.controllerUid === scaleUid;

function occupancyOf(place: Place, { pods, namespace, scaleUid, revisionOf }: PodPlanInput): Occupancy {
  const pod = pods.find((one) => one.name === place.name && one.namespace === namespace);
  if (pod === undefined) return { state: 'Missing' };
  if (!belongsTo(pod, scaleUid)) return { state: 'Blocked', pod };
  if (pod.deletionMs !== undefined) return { state: 'Leaving', pod };
  if (pod.isFinished) return { state: 'Finished', pod };
  const isCurrent =
    pod.controllerUid === scaleUid &&
    pod.labels[REVISION_LABEL] === revisionOf(place) &&
    PLACE_LABELS.every((label) => pod.labels[label] === place.labels[label]);
  if (!isCurrent) return { state: 'Outdated', serving: pod.isReady, pod };
  return { state: pod.isReady ? 'Serving' : 'Starting', pod };
}

/** A pod of ours serves there, be it an outdated one. */
export const isServed = (now: Occupancy): now is Extract<Occupancy, { readonly pod: ObservedPod }> =>
  now.state === 'Serving' || (now.state === 'Outdated' && now.serving);

const finished = (places: readonly OccupiedPlace[]): readonly PodRemoval[] =>
  places.flatMap(({ now }) => (now.state === 'Finished' ? [{ pod: now.pod, reason: 'Finished' }] : []));

/** They serve nobody: all at once, so that a mended template is not held up by a broken one. */
const outdatedIdle = (places: readonly OccupiedPlace[]): readonly PodRemoval[] =>
  places.flatMap(({ now }) => (now.state === 'Outdated' && !now.serving ? [{ pod: now.pod, reason: 'Outdated' }] : []));

/** One at a time, and the next one only when everything else serves. */
function nextRenewal(places: readonly OccupiedPlace[]): readonly PodRemoval[] {
  const calm = places.every(({ now }) => isServed(now));
  const next = places.find(({ now }) => now.state === 'Outdated');
  return calm && next?.now.state === 'Outdated' ? [{ pod: next.now.pod, reason: 'Outdated' }] : [];
}

/**
 * A pod that serves goes when another one serves its shard; one of another number of shards, or of none, when every
 * place serves. The highest index goes first.
 */
function surplusRemovals(places: readonly OccupiedPlace[], surplus: readonly ObservedPod[]): readonly PodRemoval[] {
  const served = new Set(places.flatMap(({ now }) => (isServed(now) ? shareOf(now.pod) : [])));
  const wanted = new Set(places.map(({ place }) => shareName(place.labels)));
  const complete = places.every(({ now }) => now.state === 'Serving');
  const mayGo = (pod: ObservedPod): boolean => {
    if (!isServing(pod)) return true;
    return wanted.has(shareOf(pod)) ? served.has(shareOf(pod)) : complete;
  };
  return surplus
    .filter((pod) => pod.deletionMs === undefined && mayGo(pod))
    .toSorted((a, b) => trailingNumber(b.name) - trailingNumber(a.name))
    .map((pod) => ({ pod, reason: pod.isFinished ? 'Finished' : 'NotNeeded' }));
}

/** Names the objects that a pod exports: all, or one shard of so many. */
const shareName = (labels: Readonly<Record<string, string>>): string =>
  `${labels[SHARD_LABEL] ?? ''}/${labels[TOTAL_LABEL] ?? ''}`;
export const shareOf = (pod: ObservedPod): string => shareName(pod.labels);

const trailingNumber = (name: string): number => Number(/-([0-9]+)$/.exec(name)?.[1] ?? -1);

const isStuck = (pod: ObservedPod, { scaleUid, nowMs }: PodPlanInput): boolean =>
  pod.deletionMs !== undefined && belongsTo(pod, scaleUid) && nowMs > pod.deletionMs + STUCK_AFTER_MS;

/** What counts as a replica: pods that are neither ending nor ended. */
export const livePods = (pods: readonly ObservedPod[], scaleUid: string): readonly ObservedPod[] =>
  pods.filter((pod) => belongsTo(pod, scaleUid) && isLive(pod));
