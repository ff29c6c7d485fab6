/** What a manager needs for KSMScales, and nothing else. */

/** One rule of a Role or ClusterRole. */
interface Rule {
  readonly apiGroups: readonly string[];
  readonly resources: readonly string[];
  readonly verbs: readonly string[];
}

interface KsmScalePermissions {
  /** In the whole cluster: what has no namespace. */
  readonly cluster: readonly Rule[];
  /** In each namespace that pods are kept in. */
  readonly pods: readonly Rule[];
  /** In the namespace `default`, home of the Events of what has no namespace. */
  readonly events: readonly Rule[];
  /** In the manager's own namespace, for its Lease. */
  readonly election: readonly Rule[];
}

export const ksmScalePermissions: KsmScalePermissions = {
  cluster: [
    { apiGroups: ['monitor.example.com'], resources: ['ksmscales'], verbs: ['list', 'watch'] },
    { apiGroups: ['monitor.example.com'], resources: ['ksmscales/status'], verbs: ['patch'] },
    // Asked for where OwnerReferencesPermissionEnforcement is on, as on OpenShift.
    { apiGroups: ['monitor.example.com'], resources: ['ksmscales/finalizers'], verbs: ['update'] },
    { apiGroups: [''], resources: ['nodes'], verbs: ['list', 'watch'] },
  ],
  pods: [
    { apiGroups: [''], resources: ['pods'], verbs: ['get', 'list', 'watch', 'create', 'delete'] },
    { apiGroups: [''], resources: ['services'], verbs: ['list', 'watch', 'create', 'patch', 'delete'] },
    {
      apiGroups: ['policy'],
      resources: ['poddisruptionbudgets'],
      verbs: ['list', 'watch', 'create', 'patch', 'delete'],
    },
  ],
  events: [{ apiGroups: ['events.k8s.io'], resources: ['events'], verbs: ['create', 'patch'] }],
  election: [{ apiGroups: ['coordination.k8s.io'], resources: ['leases'], verbs: ['get', 'create', 'update'] }],
};
