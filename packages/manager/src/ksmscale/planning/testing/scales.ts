import {
  type KsmScale,
  type KsmScaleSpecInput,
  type KsmScaleStatus,
  parseKsmScale,
} from '@shard-controller/shared/api';
import type { ObservedNode, ObservedPod } from '../observation.ts';
import type { PodManifest } from '../pod-manifest.ts';
import type { View } from '../plan.ts';

export const NOW_MS = Date.parse('2026-01-15T10:30:00.000Z');

/** A KSMScale as the API server would send it. */
export function scaleOf(
  spec: KsmScaleSpecInput = {},
  fields: { readonly status?: KsmScaleStatus; readonly name?: string } = {},
): KsmScale {
  const { status, name = 'example' } = fields;
  const metadata = { name, uid: `uid-${name}`, resourceVersion: '1', generation: 1 };
  const raw = {
    apiVersion: 'monitor.example.com/v1alpha1',
    kind: 'KSMScale',
    metadata,
    spec,
    ...(status === undefined ? {} : { status }),
  };
  const parsed = parseKsmScale(raw);
  if (!parsed.ok) throw new Error(parsed.problems.join('; '));
  return parsed.value;
}

export const nodesOf = (count: number, zones: readonly string[] = []): readonly ObservedNode[] =>
  Array.from({ length: count }, (_, index) => ({
    name: `node-${index}`,
    zone: zones[index % Math.max(1, zones.length)],
  }));

/** The pod that a manifest becomes, Ready at once unless it is said otherwise. */
export function podOf(manifest: PodManifest, fields: Partial<ObservedPod> = {}): ObservedPod {
  const { name, namespace, labels, ownerReferences } = manifest.metadata;
  return {
    namespace,
    name,
    uid: `uid-of-${name}`,
    labels,
    controllerUid: ownerReferences[0]?.uid,
    createdMs: NOW_MS,
    isReady: true,
    isFinished: false,
    deletionMs: undefined,
    node: undefined,
    address: undefined,
    problem: undefined,
    ...fields,
  };
}

export function viewOf(
  scale: KsmScale,
  nodes: number | readonly ObservedNode[],
  pods: readonly ObservedPod[] = [],
): View {
  return {
    scale,
    nodes: typeof nodes === 'number' ? nodesOf(nodes) : nodes,
    pods,
    objects: [],
    settings: { fixedUser: true },
    nowMs: NOW_MS,
  };
}
