import type { KubernetesObject } from '@shard-controller/shared/kubernetes';
import { KWOK_USER } from './credentials.ts';

const NAME = 'kwok';
const VERBS = ['get', 'list', 'watch', 'update', 'patch', 'delete'];

const role = {
  apiVersion: 'rbac.authorization.k8s.io/v1',
  kind: 'ClusterRole',
  metadata: { name: NAME },
  rules: [
    { apiGroups: [''], resources: ['nodes', 'pods'], verbs: VERBS },
    { apiGroups: [''], resources: ['nodes/status', 'pods/status'], verbs: ['update', 'patch'] },
    { apiGroups: ['coordination.k8s.io'], resources: ['leases'], verbs: ['create', ...VERBS] },
    { apiGroups: ['', 'events.k8s.io'], resources: ['events'], verbs: ['create', 'patch', 'update'] },
  ],
};

const binding = {
  apiVersion: 'rbac.authorization.k8s.io/v1',
  kind: 'ClusterRoleBinding',
  metadata: { name: NAME },
  roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: NAME },
  subjects: [{ apiGroup: 'rbac.authorization.k8s.io', kind: 'User', name: KWOK_USER }],
};

/** What kwok needs to play nodes and their pods, and nothing else. */
export const kwokRights: readonly KubernetesObject[] = [role, binding];
