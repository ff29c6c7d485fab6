import type { KsmScale, KsmScaleStatus } from '@shard-controller/shared/api';
import type { EventNote } from '@shard-controller/shared/kubernetes';
import { type Companion, isApplied, wantedCompanions } from './companions.ts';
import { SHARDED_LABEL } from './labels.ts';
import { type Layout, layoutOf } from './layout.ts';
import { type ChangeInput, notesOf } from './notes.ts';
import type { ObservedNode, ObservedObject, ObservedPod } from './observation.ts';
import { type PodManifest, podManifest, podRevision, type PodSettings } from './pod-manifest.ts';
import { livePods, type PodPlan, planPods, type Removal } from './pod-plan.ts';
import { placesOf } from './places.ts';
import { type Efficiency, shardingEfficiency } from './shard-recommendation.ts';
import { statusOf } from './status.ts';

/** One pass over one KSMScale, as a function of what is seen. */

export type Action =
  | { readonly type: 'CreatePod'; readonly pod: PodManifest }
  | { readonly type: 'DeletePod'; readonly pod: ObservedPod; readonly reason: Removal }
  | { readonly type: 'ApplyObject'; readonly object: Companion }
  | { readonly type: 'DeleteObject'; readonly object: ObservedObject }
  /** Others own it, too: only our part of it goes. */
  | { readonly type: 'ReleaseObject'; readonly object: ObservedObject };

/** What a pass looks at. */
export interface View {
  readonly scale: KsmScale;
  readonly nodes: readonly ObservedNode[];
  /** Pods that carry the labels of this KSMScale, in any namespace. */
  readonly pods: readonly ObservedPod[];
  /** Services and PodDisruptionBudgets that the controller made, of any KSMScale. */
  readonly objects: readonly ObservedObject[];
  readonly settings: PodSettings;
  /** Objects that a pod of a shard reports, for replicationStrategy least-loaded. */
  readonly objectsOf?: (shard: number) => number | undefined;
  readonly nowMs: number;
}

export interface Plan {
  readonly layout: Layout;
  readonly pods: PodPlan;
  readonly efficiency: Efficiency | undefined;
  readonly actions: readonly Action[];
}

/** What is known when the actions are through. */
export interface PassResult {
  readonly status: KsmScaleStatus;
  readonly notes: readonly EventNote[];
  /** When to look again even if nothing happens, ms. */
  readonly againMs: number;
}

const AGAIN_MS = { unsettled: 30_000, stable: 60_000, stableSharded: 120_000 } as const;

export function plan(view: View): Plan {
  const { scale, nodes, pods: observed, settings, nowMs } = view;
  const layout = layoutOf(scale.spec, nodes.length, reachedShards(scale));
  const objectsOf = view.objectsOf ?? (() => undefined);
  const places = placesOf({ scale: scale.metadata.name, layout, pods: observed, nodes, objectsOf });
  const [anyPlace] = places;
  const revision = anyPlace === undefined ? '' : podRevision(scale, anyPlace, settings);
  const pods = planPods({
    scaleUid: scale.metadata.uid,
    namespace: scale.spec.namespace,
    places,
    revisionOf: () => revision,
    pods: observed,
    nowMs,
  });
  const actions: readonly Action[] = [
    ...companionActions(view, layout),
    ...pods.remove.map(({ pod, reason }) => ({ type: 'DeletePod', pod, reason }) as const),
    ...pods.create.map((place) => ({ type: 'CreatePod', pod: podManifest(scale, place, settings) }) as const),
  ];
  const efficiency =
    layout.totalShards === undefined ? undefined : shardingEfficiency(nodes.length, layout.totalShards);
  return { layout, pods, efficiency, actions };
}

/** The status after a pass, with what went wrong in it, and what is worth an Event. */
export function passResult(
  view: View,
  { layout, pods, efficiency, actions }: Plan,
  errors: readonly string[],
): PassResult {
  const { scale, nodes, nowMs } = view;
  const now = new Date(nowMs).toISOString();
  const status = statusOf({
    name: scale.metadata.name,
    generation: scale.metadata.generation,
    nodes: nodes.length,
    layout,
    minCoverage: layout.mode === 'Partial' ? (scale.spec.sharding?.minCoveragePercent ?? 0) : 0,
    livePods: livePods(view.pods, scale.metadata.uid),
    places: pods.places,
    efficiency,
    errors,
    previous: scale.status,
    now,
  });
  const change: ChangeInput = { before: scale.status, after: status, layout, pods };
  const settled = errors.length === 0 && actions.length === 0 && status.phase === 'Ready';
  const stable = layout.totalShards === undefined ? AGAIN_MS.stable : AGAIN_MS.stableSharded;
  return { status, notes: notesOf(change), againMs: settled ? stable : AGAIN_MS.unsettled };
}

/** Mode Expandable may keep what it has reached; the status remembers. */
function reachedShards({ status }: KsmScale): number {
  const { mode, totalShards } = { mode: '', totalShards: 0, ...status?.shardingStatus };
  return mode === 'Expandable' ? totalShards : 0;
}

function companionActions({ scale, pods, objects }: View, layout: Layout): readonly Action[] {
  const live = livePods(pods, scale.metadata.uid);
  const isSharded = ({ labels }: ObservedPod): boolean => labels[SHARDED_LABEL] === 'true';
  const wanted = wantedCompanions(scale, layout, {
    sharded: live.some(isSharded),
    unsharded: live.some((pod) => !isSharded(pod)),
  });
  const isSame = (object: ObservedObject, { kind, metadata }: Companion): boolean =>
    object.kind === kind && object.name === metadata.name && object.namespace === metadata.namespace;
  const missing = wanted.filter((one) => !objects.some((object) => isSame(object, one) && isApplied(object, one)));
  const needless = objects.filter(
    (object) => object.ownerUids.includes(scale.metadata.uid) && !wanted.some((one) => isSame(object, one)),
  );
  return [
    ...missing.map((object) => ({ type: 'ApplyObject', object }) as const),
    ...needless.map(
      (object) => ({ type: object.ownerUids.length > 1 ? 'ReleaseObject' : 'DeleteObject', object }) as const,
    ),
  ];
}
