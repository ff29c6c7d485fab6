import { KubernetesError } from './kubernetes-error.ts';
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
  const message = error instanceof Error ? error.message : String(error);
  return new ReflectorFailure(isSystem ? 'connection' : 'unexpected', message, { cause: error });
}

function causeOf(error: KubernetesError): ReflectorFailureCause {
  if (isTooLargeResourceVersion(error)) return 'went-back';
  switch (error.code) {
    case 'SC_KUBERNETES_TLS':
      return 'tls';
    case 'SC_KUBERNETES_TIMEOUT':
      return 'timeout';
    case 'SC_KUBERNETES_UNAUTHORIZED':
      return 'unauthorized';
    case 'SC_KUBERNETES_FORBIDDEN':
      return 'forbidden';
    case 'SC_KUBERNETES_NOT_FOUND':
      return 'not-found';
    case 'SC_KUBERNETES_GONE':
      return 'gone';
    case 'SC_KUBERNETES_THROTTLED':
      return 'throttled';
    case 'SC_KUBERNETES_BAD_ANSWER':
      return 'malformed';
    case 'SC_KUBERNETES_UNREACHABLE':
    case 'SC_KUBERNETES_ABORTED':
      return 'connection';
    default:
      return error.status >= 500 ? 'server-error' : 'rejected';
  }
}

/** The server is behind us (etcd was restored, or its cache is not there yet): it says 504 with this text. */
function isTooLargeResourceVersion(error: KubernetesError): boolean {
  return error.message.includes('Too large resource version');
}
