import type { KubernetesObject } from '@shard-controller/shared/kubernetes';
import type { PolicyRule } from './rights.ts';

/** A Kubernetes object to apply, with whatever fields its kind has. */
export type Manifest = KubernetesObject & Readonly<Record<string, unknown>>;

const RBAC = 'rbac.authorization.k8s.io';

export function namespaceObject(name: string): Manifest {
  return { apiVersion: 'v1', kind: 'Namespace', metadata: { name } };
}

export function serviceAccount(namespace: string, name: string): Manifest {
  // Containers that need a token mount one explicitly.
  return {
    apiVersion: 'v1',
    kind: 'ServiceAccount',
    metadata: { name, namespace },
    automountServiceAccountToken: false,
  };
}

/** A Role with its binding to one ServiceAccount of the same namespace. */
export function namespaceRights(namespace: string, account: string, rules: readonly PolicyRule[]): readonly Manifest[] {
  const metadata = { name: account, namespace };
  return [
    { apiVersion: `${RBAC}/v1`, kind: 'Role', metadata, rules },
    {
      apiVersion: `${RBAC}/v1`,
      kind: 'RoleBinding',
      metadata,
      roleRef: { apiGroup: RBAC, kind: 'Role', name: account },
      subjects: [{ kind: 'ServiceAccount', name: account, namespace }],
    },
  ];
}

/** The same cluster-wide. The namespace is part of the name, so that two installations do not share rights. */
export function clusterRights(namespace: string, account: string, rules: readonly PolicyRule[]): readonly Manifest[] {
  const metadata = { name: `${namespace}:${account}` };
  return [
    { apiVersion: `${RBAC}/v1`, kind: 'ClusterRole', metadata, rules },
    {
      apiVersion: `${RBAC}/v1`,
      kind: 'ClusterRoleBinding',
      metadata,
      roleRef: { apiGroup: RBAC, kind: 'ClusterRole', name: metadata.name },
      subjects: [{ kind: 'ServiceAccount', name: account, namespace }],
    },
  ];
}

/** What Kubernetes would mount by itself, as a volume that a pod mounts only where it wants. */
export function tokenVolume(name: string): Readonly<Record<string, unknown>> {
  return {
    name,
    projected: {
      sources: [
        { serviceAccountToken: { path: 'token', expirationSeconds: 3600 } },
        { configMap: { name: 'kube-root-ca.crt', items: [{ key: 'ca.crt', path: 'ca.crt' }] } },
        { downwardAPI: { items: [{ path: 'namespace', fieldRef: { fieldPath: 'metadata.namespace' } }] } },
      ],
    },
  };
}

export const TOKEN_FOLDER = '/var/run/secrets/kubernetes.io/serviceaccount';
