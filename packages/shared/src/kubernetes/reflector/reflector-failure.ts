import { errorMessage } from '../../runtime/index.ts';
import { causeOfError, type FailureCause, KubernetesError } from '../client/index.ts';
import { WatchFrameError } from './watch-frames.ts';

/** A list or a watch has failed. @remedy as the message says; it is tried again until it succeeds. */
export class ReflectorFailure extends Error {
  override readonly name = 'ReflectorFailure';
  readonly code = 'SC_REFLECTOR';
  readonly failure: FailureCause;
  readonly retryAfterMs: number | undefined;

  constructor(failure: FailureCause, message: string, options: { cause?: unknown; retryAfterMs?: number } = {}) {
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

function causeOf(error: KubernetesError): FailureCause {
  return isTooLargeResourceVersion(error) ? 'went-back' : causeOfError(error);
}

/** The server is behind us (etcd was restored, or its cache is not there yet): it says 504 with this text. */
function isTooLargeResourceVersion(error: KubernetesError): boolean {
  return error.message.includes('Too large resource version');
}
