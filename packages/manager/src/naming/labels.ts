import type { Replica } from '@shard-controller/shared/contracts';

/** Writer of everything that the manager applies; never fights another writer's fields. */
export const FIELD_MANAGER = 'shard-controller-manager';

export const CONFIG_LABEL = 'shard.io/config';
export const REPLICA_LABEL = 'shard.io/replica';

/** What the pods of one StatefulSet are: one replica of every shard, or the surge worker of a rolling update. */
export type PodRole = Replica | 'surge';

export const REVISION_LABEL = 'shard.io/revision';
/** When the controller of a StatefulSet was last asked to try again. */
export const RETRIED_ANNOTATION = 'shard.io/retried-at';

/** Labels that select the worker pods of one ShardConfig; also the value of its `status.selector`. */
export function workerSelector(config: string, replica?: PodRole): Record<string, string> {
  return {
    'app.kubernetes.io/name': 'shard-controller-worker',
    'app.kubernetes.io/instance': config,
    'app.kubernetes.io/component': 'worker',
    ...(replica === undefined ? {} : { [REPLICA_LABEL]: replica }),
  };
}

/** Labels of every object that belongs to a ShardConfig. */
export function configLabels(config: string): Record<string, string> {
  return {
    'app.kubernetes.io/name': 'shard-controller-worker',
    'app.kubernetes.io/instance': config,
    'app.kubernetes.io/managed-by': 'shard-controller',
    [CONFIG_LABEL]: config,
  };
}

/** Prefixes of labels that tools set on a ShardConfig about itself, and that we set on what is made for it. */
const TOOL_PREFIXES = [
  'shard.io/',
  'app.kubernetes.io/',
  'helm.sh/',
  'kustomize.toolkit.fluxcd.io/',
  'argocd.argoproj.io/',
];

/** The labels of a ShardConfig that belong on everything that is made for it, such as a team or a cost centre. */
export function userLabels(labels: Readonly<Record<string, string>>): Record<string, string> {
  const own = Object.entries(labels).filter(([key]) => TOOL_PREFIXES.every((prefix) => !key.startsWith(prefix)));
  return Object.fromEntries(own);
}

/** Labels of a worker pod, without its revision. */
export function workerLabels(config: string, replica: PodRole): Record<string, string> {
  return {
    ...configLabels(config),
    ...workerSelector(config, replica),
  };
}

/** `a=b,c=d`, sorted: the form of a label selector in a query or in `status.selector`. */
export function selectorText(labels: Readonly<Record<string, string>>): string {
  return Object.entries(labels)
    .map(([key, value]) => `${key}=${value}`)
    .sort()
    .join(',');
}
