import { Backoff } from '@shard-controller/shared/runtime';
import { UpstreamFailure } from './upstream-failure.ts';

const MAX_RETRY_AFTER_MS = 10_000;

/** Causes by the code of what was thrown; `connection` is a connection that broke. */
const CAUSES: Readonly<Record<string, string>> = {
  SC_WIRE_FORMAT: 'format',
  SC_TRUNCATED_WATCH: 'truncated',
  SC_SILENT_WATCH: 'silent',
  SC_STALLED_ANSWER: 'timeout',
  SC_KUBERNETES_TIMEOUT: 'timeout',
  SC_KUBERNETES_TLS: 'tls',
};

/** One word per cause, for the metrics: an HTTP status, the reason of a protocol error, or what the connection did. */
export function causeOf(error: unknown): string {
  if (error instanceof UpstreamFailure) return error.status === 0 ? error.reason : String(error.status);
  if (textOf(error, 'reason') === 'ECONNREFUSED') return 'refused';
  return CAUSES[codeOf(error) ?? ''] ?? 'connection';
}

/** The stable code of an error of ours, or the system's. */
export function codeOf(error: unknown): string | undefined {
  return textOf(error, 'code');
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

function textOf(error: unknown, field: 'code' | 'reason'): string | undefined {
  if (typeof error !== 'object' || error === null || !(field in error)) return undefined;
  const value: unknown = Reflect.get(error, field);
  return typeof value === 'string' ? value : undefined;
}
