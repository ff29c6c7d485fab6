/** One rule of a Role or ClusterRole. */
export interface PolicyRule {
  readonly apiGroups: readonly string[];
  readonly resources: readonly string[];
  readonly verbs: readonly string[];
}

/** Kinds beyond the exporter's defaults that a fleet exports, by API group. */
export interface ResourceGroup {
  readonly group: string;
  readonly resources: readonly string[];
}

const READ = ['get', 'list', 'watch'];

/** What kube-state-metrics exports when nothing is said (its pkg/options/resource.go), by API group. */
const DEFAULT_KINDS: readonly ResourceGroup[] = [
  {
    group: '',
    resources: [
      'configmaps',
      'limitranges',
      'namespaces',
      'nodes',
      'persistentvolumeclaims',
      'persistentvolumes',
      'pods',
      'replicationcontrollers',
      'resourcequotas',
      'secrets',
      'services',
    ],
  },
  {
    group: 'admissionregistration.k8s.io',
    resources: [
      'mutatingadmissionpolicies',
      'mutatingadmissionpolicybindings',
      'mutatingwebhookconfigurations',
      'validatingadmissionpolicies',
      'validatingadmissionpolicybindings',
      'validatingwebhookconfigurations',
    ],
  },
  { group: 'apps', resources: ['daemonsets', 'deployments', 'replicasets', 'statefulsets'] },
  { group: 'autoscaling', resources: ['horizontalpodautoscalers'] },
  { group: 'batch', resources: ['cronjobs', 'jobs'] },
  { group: 'certificates.k8s.io', resources: ['certificatesigningrequests'] },
  { group: 'coordination.k8s.io', resources: ['leases'] },
  { group: 'discovery.k8s.io', resources: ['endpointslices'] },
  { group: 'networking.k8s.io', resources: ['ingresses', 'networkpolicies'] },
  { group: 'policy', resources: ['poddisruptionbudgets'] },
  { group: 'storage.k8s.io', resources: ['storageclasses', 'volumeattachments'] },
];

/** Custom-resource-state finds its kinds by reading all definitions. */
const DEFINITIONS: ResourceGroup = { group: 'apiextensions.k8s.io', resources: ['customresourcedefinitions'] };

/**
 * Cluster-wide reads of a worker, and of an exporter that talks to the API server itself.
 *
 * @param taken a resource that is left out.
 */
export function exportedKindsRules(more: readonly ResourceGroup[] = [], taken?: string): readonly PolicyRule[] {
  return [...DEFAULT_KINDS, DEFINITIONS, ...more]
    .map(({ group, resources }) => ({
      apiGroups: [group],
      resources: resources.filter((resource) => resource !== taken),
      verbs: READ,
    }))
    .filter(({ resources }) => resources.length > 0);
}

/**
 * What a worker may do in its own namespace: follow its ShardInstance and report in its status; see whether its
 * ShardConfig is still there when it ends.
 */
export const workerRules: readonly PolicyRule[] = [
  { apiGroups: ['shard.io'], resources: ['shardconfigs'], verbs: ['get'] },
  { apiGroups: ['shard.io'], resources: ['shardinstances'], verbs: READ },
  { apiGroups: ['shard.io'], resources: ['shardinstances/status'], verbs: ['patch'] },
];

const WRITE = [...READ, 'create', 'update', 'patch', 'delete'];

/** What a manager may do, all in its own namespace. */
export const managerRules: readonly PolicyRule[] = [
  { apiGroups: ['shard.io'], resources: ['shardconfigs'], verbs: READ },
  { apiGroups: ['shard.io'], resources: ['shardconfigs/status'], verbs: ['get', 'update', 'patch'] },
  { apiGroups: ['shard.io'], resources: ['shardinstances'], verbs: WRITE },
  { apiGroups: ['apps'], resources: ['statefulsets'], verbs: WRITE },
  { apiGroups: [''], resources: ['services'], verbs: WRITE },
  { apiGroups: [''], resources: ['pods'], verbs: [...READ, 'delete'] },
  { apiGroups: ['policy'], resources: ['poddisruptionbudgets'], verbs: WRITE },
  { apiGroups: ['coordination.k8s.io'], resources: ['leases'], verbs: [...READ, 'create', 'update', 'patch'] },
  { apiGroups: ['', 'events.k8s.io'], resources: ['events'], verbs: ['create', 'patch'] },
  // Only an Event of its StatefulSet says why a pod was refused.
  { apiGroups: [''], resources: ['events'], verbs: ['list'] },
];
