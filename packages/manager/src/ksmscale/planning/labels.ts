import type { KsmScale } from '@shard-controller/shared/api';

/** Names and labels of what a KSMScale owns. */

export const SCALE_LABEL = 'ksmscale.example.com';
export const INDEX_LABEL = 'index';
export const POD_INDEX_LABEL = 'pod-index';
export const SHARD_LABEL = 'shard-id';
export const REPLICA_LABEL = 'shard-replica';
export const TOTAL_LABEL = 'total-shards';
export const SHARDED_LABEL = 'sharding-enabled';
/** Zone that a pod was made for. */
export const ZONE_LABEL = 'ksmscale.example.com/zone';
/** On every object beside the pods, so that one watch finds them. */
export const MANAGED_LABEL = 'ksmscale.example.com/managed';
/** Names the content of a pod's template: a pod with another one is outdated. */
export const REVISION_LABEL = 'ksmscale.example.com/revision';
export const ASSIGNMENT_ANNOTATION = 'ksmscale.example.com/shard-assignment';

export const NAME_LABEL = 'app.kubernetes.io/name';
export const KSM_NAME = 'kube-state-metrics';

/** The headless Service in front of all sharded pods of a namespace, whichever KSMScale they are of. */
export const SHARDED_SERVICE = 'kube-state-metrics-sharded';
export const unshardedServiceName = (scale: string): string => `kube-state-metrics-${scale}`;
export const shardServiceName = (scale: string, shard: number): string => `ksm-${scale}-shard-${shard}`;
export const budgetName = (scale: string): string => `ksm-${scale}-shards`;

/** Selects the pods of one KSMScale; also the value of its `status.selector`. */
export const scaleSelector = (scale: string): Record<string, string> => ({
  [NAME_LABEL]: KSM_NAME,
  [SCALE_LABEL]: scale,
});

/** Selects the sharded pods of one KSMScale. */
export const shardedSelector = (scale: string): Record<string, string> => ({
  [SCALE_LABEL]: scale,
  [SHARDED_LABEL]: 'true',
});

/** Selects the pods of one shard. */
export const shardSelector = (scale: string, shard: number): Record<string, string> => ({
  [SCALE_LABEL]: scale,
  [SHARD_LABEL]: String(shard),
});

const OWN_LABELS: ReadonlySet<string> = new Set([
  INDEX_LABEL,
  POD_INDEX_LABEL,
  SHARD_LABEL,
  REPLICA_LABEL,
  TOTAL_LABEL,
  SHARDED_LABEL,
]);

/**
 * Labels that users set on the KSMScale, for policies that want them on every object. Those of its own kind, and those by
 * which installers know their own objects, stay with it.
 */
export function inheritedLabels({ metadata: { labels = {} } }: KsmScale): Record<string, string> {
  const isOwn = (key: string): boolean =>
    OWN_LABELS.has(key) ||
    key.startsWith(SCALE_LABEL) ||
    /^(app\.kubernetes\.io|helm\.sh|argocd\.argoproj\.io)\//.test(key);
  return Object.fromEntries(Object.entries(labels).filter(([key]) => !isOwn(key)));
}

/** Labels of an object beside the pods. Only the Services that a ServiceMonitor selects have `app.kubernetes.io/name`, too. */
export const objectLabels = (scale: KsmScale): Record<string, string> => ({
  ...inheritedLabels(scale),
  'app.kubernetes.io/instance': scale.metadata.name,
  'app.kubernetes.io/component': 'exporter',
  'app.kubernetes.io/managed-by': 'shard-controller',
  [SCALE_LABEL]: scale.metadata.name,
  [MANAGED_LABEL]: 'true',
});

/** A label that is a whole number from 0 on; undefined for anything else. */
export function numberLabel(labels: Readonly<Record<string, string>>, name: string): number | undefined {
  const text = labels[name];
  return text !== undefined && /^(0|[1-9][0-9]{0,8})$/.test(text) ? Number(text) : undefined;
}
