import { errorMessage } from '../../runtime/index.ts';
import { KubernetesError, type KubernetesErrorCode } from '../client/index.ts';
import { WatchFrameError } from './watch-frames.ts';

/** Why a list or watch ended other than by its own end. Also the `cause` label of the failure counter. */
export type ReflectorFailureCause =
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

/** A list or a watch has failed. @remedy as the message says; it is tried again until it succeeds. */
export class ReflectorFailure extends Error {
  override readonly name = 'ReflectorFailure';
  readonly code = 'SC_REFLECTOR';
  readonly failure: ReflectorFailureCause;
  readonly retryAfterMs: number | undefined;

  constructor(
    failure: ReflectorFailureCause,
    message: string,
    options: { cause?: unknown; retryAfterMs?: number } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.failure = failure;
    this.retryAfterMs = options.retryAfterMs;
  }
}

/** Names the cause of anything that a list or watch can throw. */
export function reflectorFailureOf(error: unknown): ReflectorFailure {
  if (error instanceof ReflectorFailure) return error;
  if (error instanceof WatchFrameError) return new ReflectorFailure(error.fault, error.message, { cause: error });
  if (error instanceof KubernetesError) {
    const retryAfter = error.retryAfterMs === undefined ? {} : { retryAfterMs: error.retryAfterMs };
    return new ReflectorFailure(causeOf(error), error.message, { cause: error, ...retryAfter });
  }
  const isSystem = error instanceof Error && 'code' in error && typeof error.code === 'string';
  const message = errorMessage(error);
  return new ReflectorFailure(isSystem ? 'connection' : 'unexpected', message, { cause: error });
}

const CAUSES: Readonly<Partial<Record<KubernetesErrorCode, ReflectorFailureCause>>> = {
  SC_KUBERNETES_ABORTED: 'connection',
  SC_KUBERNETES_BAD_ANSWER: 'malformed',
  SC_KUBERNETES_FORBIDDEN: 'forbidden',
  SC_KUBERNETES_GONE: 'gone',
  SC_KUBERNETES_NOT_FOUND: 'not-found',
  SC_KUBERNETES_THROTTLED: 'throttled',
  SC_KUBERNETES_TIMEOUT: 'timeout',
  SC_KUBERNETES_TLS: 'tls',
  SC_KUBERNETES_UNAUTHORIZED: 'unauthorized',
  SC_KUBERNETES_UNREACHABLE: 'connection',
};

function causeOf(error: KubernetesError): ReflectorFailureCause {
  if (isTooLargeResourceVersion(error)) return 'went-back';
  const known = CAUSES[error.code];
  if (known !== undefined) return known;
  return error.status >= 500 ? 'server-error' : 'rejected';
}

/** The server is behind us (etcd was restored, or its cache is not there yet): it says 504 with this text. */
function isTooLargeResourceVersion(error: KubernetesError): boolean {
  return error.message.includes('Too large resource version');
}
