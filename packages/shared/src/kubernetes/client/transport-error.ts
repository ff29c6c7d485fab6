import { errorMessage } from '../../runtime/index.ts';
import { KubernetesError, type KubernetesErrorCode, type RequestIdentity } from './kubernetes-error.ts';

interface Diagnosis {
  readonly code: KubernetesErrorCode;
  readonly sentence: string;
  readonly remedy: string;
}

const TIMEOUT_CODES = new Set(['UND_ERR_HEADERS_TIMEOUT', 'UND_ERR_BODY_TIMEOUT']);

const CLOSED_CODES = new Set(['UND_ERR_CLOSED', 'UND_ERR_DESTROYED']);

/** Turns what undici, net or tls threw before an answer was complete into an error that names the server and the remedy. */
export function errorOfTransport(request: RequestIdentity, server: string, error: unknown): KubernetesError {
  if (error instanceof KubernetesError) return error;
  const reason = systemCode(error) ?? (error instanceof Error ? error.name : 'Unknown');
  const { code, sentence, remedy } = diagnose(reason, server, messageOf(error));
  return new KubernetesError({
    ...request,
    code,
    status: 0,
    reason,
    message: `${request.method} ${request.path} failed: ${sentence}. Remedy: ${remedy}`,
    cause: error,
  });
}

/** Whether the server's certificate, or the lack of one, ended the connection: the CA may have been rotated. */
export function isTlsFailure(error: unknown): boolean {
  return isTlsCode(systemCode(error) ?? '');
}

/** Whether a kept-alive connection turned out to be closed by the other side: safe to try a read again at once. */
export function isStaleConnection(error: unknown): boolean {
  const code = systemCode(error);
  return code === 'ECONNRESET' || code === 'EPIPE' || code === 'UND_ERR_SOCKET';
}

function diagnose(reason: string, server: string, said: string): Diagnosis {
  if (CLOSED_CODES.has(reason)) {
    return {
      code: 'SC_KUBERNETES_ABORTED',
      sentence: `the client is closed (${reason})`,
      remedy: 'none; this process is shutting down',
    };
  }
  if (reason === 'ECONNREFUSED') {
    return {
      code: 'SC_KUBERNETES_UNREACHABLE',
      sentence: `the API server at ${server} refuses connections (${reason})`,
      remedy:
        'check that kube-apiserver runs and that the address and port are right; requests are retried until it answers',
    };
  }
  if (reason === 'ENOTFOUND' || reason === 'EAI_AGAIN') {
    return {
      code: 'SC_KUBERNETES_UNREACHABLE',
      sentence: `the host name in ${server} cannot be resolved (${reason})`,
      remedy: 'check KUBERNETES_SERVICE_HOST or the configured server address, and the DNS of this pod',
    };
  }
  if (isTlsCode(reason)) {
    return {
      code: 'SC_KUBERNETES_TLS',
      sentence: `no trusted TLS connection to ${server}: ${said} (${reason})`,
      remedy:
        'check that the CA certificate is the one that signed this server and that the server name is in its certificate (ca.crt of the ServiceAccount, or the configured CA and tls-server-name), and that the server speaks TLS on this port',
    };
  }
  if (TIMEOUT_CODES.has(reason)) {
    return {
      code: 'SC_KUBERNETES_TIMEOUT',
      sentence: `no complete answer from ${server} in time (${reason})`,
      remedy:
        'check load and health of the API server and of etcd; raise the request time-out when lists are very large',
    };
  }
  return {
    code: 'SC_KUBERNETES_UNREACHABLE',
    sentence: `the connection to ${server} failed: ${said} (${reason})`,
    remedy:
      'check the network between this pod and the API server (routes, NetworkPolicy, load balancer) and the health of kube-apiserver',
  };
}

function isTlsCode(code: string): boolean {
  return (
    code.startsWith('ERR_TLS_') ||
    code.startsWith('ERR_SSL_') ||
    code.startsWith('CERT_') ||
    code === 'DEPTH_ZERO_SELF_SIGNED_CERT' ||
    code === 'SELF_SIGNED_CERT_IN_CHAIN' ||
    code === 'UNABLE_TO_VERIFY_LEAF_SIGNATURE' ||
    code === 'UNABLE_TO_GET_ISSUER_CERT' ||
    code === 'UNABLE_TO_GET_ISSUER_CERT_LOCALLY' ||
    code === 'EPROTO'
  );
}

/** The `code` of an error; of its first part when a name had several addresses (AggregateError) and the whole has none. */
function systemCode(error: unknown): string | undefined {
  if (typeof error !== 'object' || error === null) return undefined;
  if ('code' in error && typeof error.code === 'string') return error.code;
  if (error instanceof AggregateError) return systemCode(error.errors[0]);
  return undefined;
}

function messageOf(error: unknown): string {
  if (error instanceof AggregateError && error.message === '') return messageOf(error.errors[0]);
  return errorMessage(error);
}
