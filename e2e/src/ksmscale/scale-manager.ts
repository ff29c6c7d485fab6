import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type KubernetesClient, resourcePath } from '@shard-controller/shared/kubernetes';
import { freePorts } from '../cluster/free-ports.ts';
import { chartScaleRights } from '../install/rights.ts';
import { LocalProcess } from '../worker-process/local-process.ts';

/** Namespace of the manager's Lease. */
const HOME = 'default';
const RBAC = 'rbac.authorization.k8s.io';
const MANAGER_MAIN = join(import.meta.dirname, '../../../packages/manager/src/main.ts');

export interface ScaleManagerOptions {
  readonly name: string;
  /** For its kubeconfig. */
  readonly folder: string;
  readonly server: string;
  readonly ca: string;
  readonly token: string;
}

/** A manager for KSMScales alone, as its own process. */
export async function startScaleManager({
  name,
  folder,
  server,
  ca,
  token,
}: ScaleManagerOptions): Promise<LocalProcess> {
  const kubeconfig = join(folder, `${name}.kubeconfig`);
  writeFileSync(kubeconfig, kubeconfigText(server, ca, token), { mode: 0o600 });
  const [port = 0] = await freePorts(1);
  return new LocalProcess({
    name,
    command: [process.execPath, '--conditions=@shard/source', MANAGER_MAIN],
    env: {
      HOME: folder,
      KUBECONFIG: kubeconfig,
      POD_NAME: name,
      POD_NAMESPACE: HOME,
      SHARDCONFIG_ENABLED: 'false',
      KSMSCALE_ENABLED: 'true',
      HTTP_PORT: String(port),
      LEASE_DURATION: '3s',
      LEASE_RENEW_DEADLINE: '2s',
      LEASE_RETRY_PERIOD: '300ms',
    },
  });
}

export interface Subject {
  readonly apiGroup?: string;
  readonly kind: 'User' | 'ServiceAccount';
  readonly name: string;
  readonly namespace?: string;
}

/** The permissions for KSMScales with pods in one namespace, and no others. */
export async function grantScalePermissions(
  client: KubernetesClient,
  subject: Subject,
  namespace: string,
): Promise<void> {
  const bind = async (place: string | undefined, part: string, rules: unknown): Promise<void> => {
    const kind = place === undefined ? 'ClusterRole' : 'Role';
    const name = `ksmscale-${part}`;
    const path = (resource: string): string => resourcePath({ group: RBAC, version: 'v1', resource, namespace: place });
    await client.create(path(`${kind.toLowerCase()}s`), { metadata: { name }, rules });
    const roleRef = { apiGroup: RBAC, kind, name };
    await client.create(path(`${kind.toLowerCase()}bindings`), { metadata: { name }, roleRef, subjects: [subject] });
  };
  const { cluster, pods, events, election } = await chartScaleRights(HOME, namespace);
  await bind(undefined, 'cluster', cluster);
  await bind(namespace, 'pods', pods);
  await bind('default', 'events', events);
  await bind(HOME, 'election', election);
}

function kubeconfigText(server: string, ca: string, token: string): string {
  return JSON.stringify({
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': 'test',
    clusters: [{ name: 'test', cluster: { server, 'certificate-authority-data': Buffer.from(ca).toString('base64') } }],
    users: [{ name: 'test', user: { token } }],
    contexts: [{ name: 'test', context: { cluster: 'test', user: 'test' } }],
  });
}
