import { causeOfError, causeOfStatus, type FailureCause, KubernetesError } from '@shard-controller/shared/kubernetes';
import { Backoff, errorCode } from '@shard-controller/shared/runtime';
import { UpstreamFailure } from './upstream-failure.ts';

const MAX_RETRY_AFTER_MS = 10_000;

/** Causes by the code of what was thrown. */
const CAUSES: Readonly<Record<string, FailureCause>> = {
  SC_WIRE_FORMAT: 'malformed',
  SC_TRUNCATED_WATCH: 'truncated',
  SC_SILENT_WATCH: 'silent',
  SC_STALLED_ANSWER: 'timeout',
};

/** One word per cause, for the metrics. */
export function causeOf(error: unknown): FailureCause {
  // Without a status it is an event of a watch that is none.
  if (error instanceof UpstreamFailure) return error.status === 0 ? 'malformed' : causeOfStatus(error.status);
  if (error instanceof KubernetesError) return causeOfError(error);
  return CAUSES[errorCode(error) ?? ''] ?? 'connection';
}

/** The waits between attempts to read the API server. */
export function upstreamBackoff(random: () => number): Backoff {
  return new Backoff(random, { baseMs: 50, capMs: 2_000 });
}

/** How long to wait after a failure, ms: a jittered back-off, and no less than the server asks for, up to 10 s. */
export function pauseAfter(error: unknown, backoff: Backoff): number {
  const asked = error instanceof UpstreamFailure ? error.retryAfterMs : undefined;
  const jittered = backoff.next();
  return asked === undefined ? jittered : Math.min(MAX_RETRY_AFTER_MS, asked + jittered);
}
