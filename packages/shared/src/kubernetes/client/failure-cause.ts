import type { KubernetesError, KubernetesErrorCode } from './kubernetes-error.ts';

/**
 * Why a read of the API server failed, in one word: the label `cause` of every metric of failures, and of log lines.
 * `rejected` is a status of the client's side without a word of its own, `connection` a connection that was refused or
 * broke.
 */
export type FailureCause =
  | 'connection'
  | 'error-event'
  | 'forbidden'
  | 'gone'
  | 'malformed'
  | 'not-found'
  | 'oversized'
  | 'rejected'
  | 'server-error'
  | 'short-watch'
  | 'silent'
  | 'throttled'
  | 'timeout'
  | 'tls'
  | 'truncated'
  | 'unauthorized'
  | 'unexpected'
  | 'went-back';

const BY_STATUS: Readonly<Record<number, FailureCause>> = {
  401: 'unauthorized',
  403: 'forbidden',
  404: 'not-found',
  410: 'gone',
  429: 'throttled',
  504: 'timeout',
};

export const causeOfStatus = (status: number): FailureCause =>
  BY_STATUS[status] ?? (status >= 500 ? 'server-error' : 'rejected');

/** What has a status and another meaning than that, and what came to no status. */
const BY_CODE: Readonly<Partial<Record<KubernetesErrorCode, FailureCause>>> = {
  SC_KUBERNETES_ABORTED: 'connection',
  SC_KUBERNETES_BAD_ANSWER: 'malformed',
  SC_KUBERNETES_TIMEOUT: 'timeout',
  SC_KUBERNETES_TLS: 'tls',
  SC_KUBERNETES_UNREACHABLE: 'connection',
};

export const causeOfError = ({ code, status }: KubernetesError): FailureCause => BY_CODE[code] ?? causeOfStatus(status);
