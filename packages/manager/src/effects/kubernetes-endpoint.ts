import { inClusterEndpoint, type KubernetesEndpoint, staticEndpoint } from '@shard-controller/shared/kubernetes';
import type { Environment } from '@shard-controller/shared/runtime';

/**
 * The kubeconfig names no cluster, or asks for a way to log in that this process does not have.
 * @remedy correct the file in KUBECONFIG, or run in a cluster with a ServiceAccount.
 */
class KubeconfigError extends Error {
  override readonly name = 'KubeconfigError';
  readonly code = 'SC_KUBECONFIG';
}

/** In a pod the API server that its ServiceAccount is for; outside, that of the kubeconfig. @throws KubeconfigError */
export async function kubernetesEndpoint(environment: Environment): Promise<KubernetesEndpoint> {
  const inCluster = (environment['KUBERNETES_SERVICE_HOST'] ?? '') !== '';
  return inCluster ? inClusterEndpoint({ env: environment }) : kubeconfigEndpoint();
}

/**
 * The API server of the current context of KUBECONFIG or ~/.kube/config, for a manager that runs outside a cluster.
 * Tokens, token files and exec plug-ins work; client certificates do not. The library is loaded only here, because it
 * costs about 85 MB.
 * @throws KubeconfigError
 */
async function kubeconfigEndpoint(): Promise<KubernetesEndpoint> {
  const { KubeConfig } = await import('@kubernetes/client-node');
  const config = new KubeConfig();
  config.loadFromDefault();
  const cluster = config.getCurrentCluster();
  if (cluster === null || cluster.server === '') {
    throw new KubeconfigError('no current cluster: set KUBECONFIG to a file with a current-context, or run in a pod');
  }
  const login: { headers?: Record<string, string | number | string[]>; ca?: unknown; cert?: unknown } = { headers: {} };
  await config.applyToHTTPSOptions(login);
  const authorization = String(login.headers?.['Authorization'] ?? login.headers?.['authorization'] ?? '');
  if (login.cert !== undefined && authorization === '') {
    throw new KubeconfigError(
      `user ${config.getCurrentUser()?.name ?? ''} logs in by client certificate, which the manager does not support: ` +
        'use a token, for example of ServiceAccount shard-controller-manager (kubectl create token)',
    );
  }
  const ca = login.ca;
  return staticEndpoint({
    server: cluster.server,
    ca: ca instanceof Uint8Array ? Buffer.from(ca).toString('utf8') : typeof ca === 'string' ? ca : undefined,
    token: authorization.startsWith('Bearer ') ? authorization.slice('Bearer '.length) : undefined,
    tlsServerName: cluster.tlsServerName,
  });
}
