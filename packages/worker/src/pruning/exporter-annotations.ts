/**
 * Annotations that kube-state-metrics reads by itself, whatever its allow-lists say, by `group/resource`: every use of
 * `Annotations[…]` in its internal/store. `keys` of a minor version is checked against that version's source.
 */
type ReadAnnotations = Readonly<Record<string, readonly string[]>>;

const SINCE_2_15: ReadAnnotations = {
  // kube_ingress_info: the class from before spec.ingressClassName.
  'networking.k8s.io/ingresses': ['kubernetes.io/ingress.class'],
  // kube_persistentvolumeclaim_info: the class from before spec.storageClassName.
  '/persistentvolumeclaims': ['volume.beta.kubernetes.io/storage-class'],
};

/** By minor version. Of one that is not here it is unknown what it reads. */
const BY_VERSION: ReadonlyMap<string, ReadAnnotations> = new Map([
  ['2.15', SINCE_2_15],
  ['2.18', SINCE_2_15],
  ['2.20', SINCE_2_15],
]);

/** Resources that kube-state-metrics has metrics of, by group (`availableStores` in its internal/store/builder.go). */
const RESOURCES: Readonly<Record<string, readonly string[]>> = {
  '': [
    'configmaps',
    'endpoints',
    'limitranges',
    'namespaces',
    'nodes',
    'persistentvolumeclaims',
    'persistentvolumes',
    'pods',
    'replicationcontrollers',
    'resourcequotas',
    'secrets',
    'serviceaccounts',
    'services',
  ],
  'admissionregistration.k8s.io': [
    'mutatingadmissionpolicies',
    'mutatingadmissionpolicybindings',
    'mutatingwebhookconfigurations',
    'validatingadmissionpolicies',
    'validatingadmissionpolicybindings',
    'validatingwebhookconfigurations',
  ],
  apps: ['daemonsets', 'deployments', 'replicasets', 'statefulsets'],
  autoscaling: ['horizontalpodautoscalers'],
  batch: ['cronjobs', 'jobs'],
  'certificates.k8s.io': ['certificatesigningrequests'],
  'coordination.k8s.io': ['leases'],
  'discovery.k8s.io': ['endpointslices'],
  'networking.k8s.io': ['ingressclasses', 'ingresses', 'networkpolicies'],
  policy: ['poddisruptionbudgets'],
  'rbac.authorization.k8s.io': ['clusterrolebindings', 'clusterroles', 'rolebindings', 'roles'],
  'storage.k8s.io': ['storageclasses', 'volumeattachments'],
};

/** The problem when the fields that this version reads are not known; undefined when they are. */
export function unknownVersion(version: string | undefined): string | undefined {
  if (readBy(version) !== undefined) return undefined;
  return (
    `the fields that kube-state-metrics ${version ?? 'without a version in its image'} reads are not known, so only ` +
    `managedFields are pruned; known versions are ${[...BY_VERSION.keys()].join(', ')}`
  );
}

function readBy(version: string | undefined): ReadAnnotations | undefined {
  return BY_VERSION.get(/^v?(\d+\.\d+)\./.exec(version ?? '')?.[1] ?? '');
}

/**
 * What kube-state-metrics of this version reads of a resource's annotations beside its allow-list; undefined when that
 * is not known: then they all have to stay.
 * @param version `2.20.0`; undefined for an unknown one.
 */
export function readAnnotations(
  version: string | undefined,
  group: string,
  resource: string,
): readonly string[] | undefined {
  const read = readBy(version);
  if (read === undefined || RESOURCES[group]?.includes(resource) !== true) return undefined;
  return read[`${group}/${resource}`] ?? [];
}
