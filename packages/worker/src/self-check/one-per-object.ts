/**
 * A metric of kube-state-metrics 2.20 that has exactly one series per object, by kind: read in its source, internal/store,
 * where each of these families holds one metric whatever the object (the `_created` ones: unless the creationTimestamp
 * is zero, which the API server never leaves so). Leases have none: theirs depend on their holder.
 */
export const ONE_PER_OBJECT: ReadonlyMap<string, string> = new Map([
  ['certificatesigningrequests.certificates.k8s.io', 'kube_certificatesigningrequest_created'],
  ['clusterroles.rbac.authorization.k8s.io', 'kube_clusterrole_info'],
  ['clusterrolebindings.rbac.authorization.k8s.io', 'kube_clusterrolebinding_info'],
  ['configmaps', 'kube_configmap_info'],
  ['cronjobs.batch', 'kube_cronjob_info'],
  ['daemonsets.apps', 'kube_daemonset_created'],
  ['deployments.apps', 'kube_deployment_created'],
  ['endpoints', 'kube_endpoint_info'],
  ['endpointslices.discovery.k8s.io', 'kube_endpointslice_info'],
  ['horizontalpodautoscalers.autoscaling', 'kube_horizontalpodautoscaler_info'],
  ['ingresses.networking.k8s.io', 'kube_ingress_info'],
  ['ingressclasses.networking.k8s.io', 'kube_ingressclass_info'],
  ['jobs.batch', 'kube_job_info'],
  ['limitranges', 'kube_limitrange_created'],
  ['mutatingadmissionpolicies.admissionregistration.k8s.io', 'kube_mutatingadmissionpolicy_info'],
  ['mutatingadmissionpolicybindings.admissionregistration.k8s.io', 'kube_mutatingadmissionpolicybinding_info'],
  ['mutatingwebhookconfigurations.admissionregistration.k8s.io', 'kube_mutatingwebhookconfiguration_info'],
  ['namespaces', 'kube_namespace_created'],
  ['networkpolicies.networking.k8s.io', 'kube_networkpolicy_created'],
  ['nodes', 'kube_node_info'],
  ['persistentvolumeclaims', 'kube_persistentvolumeclaim_info'],
  ['persistentvolumes', 'kube_persistentvolume_info'],
  ['poddisruptionbudgets.policy', 'kube_poddisruptionbudget_created'],
  ['pods', 'kube_pod_info'],
  ['replicasets.apps', 'kube_replicaset_created'],
  ['replicationcontrollers', 'kube_replicationcontroller_created'],
  ['resourcequotas', 'kube_resourcequota_created'],
  ['roles.rbac.authorization.k8s.io', 'kube_role_info'],
  ['rolebindings.rbac.authorization.k8s.io', 'kube_rolebinding_info'],
  ['secrets', 'kube_secret_info'],
  ['serviceaccounts', 'kube_serviceaccount_info'],
  ['services', 'kube_service_info'],
  ['statefulsets.apps', 'kube_statefulset_created'],
  ['storageclasses.storage.k8s.io', 'kube_storageclass_info'],
  ['validatingadmissionpolicies.admissionregistration.k8s.io', 'kube_validatingadmissionpolicy_info'],
  ['validatingadmissionpolicybindings.admissionregistration.k8s.io', 'kube_validatingadmissionpolicybinding_info'],
  ['validatingwebhookconfigurations.admissionregistration.k8s.io', 'kube_validatingwebhookconfiguration_info'],
  ['volumeattachments.storage.k8s.io', 'kube_volumeattachment_info'],
]);

/** What the names of all metrics of this one's kind begin with. */
export function familyPrefix(metric: string): string {
  return metric.slice(0, metric.lastIndexOf('_') + 1);
}
