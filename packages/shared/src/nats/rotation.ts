import type { Clock } from '../runtime/index.ts';
import { credentialsDigest, type NatsConnectionConfig } from './connection-options.ts';

/** Between two reads of the files, ms; kubelet needs up to a minute to write a changed Secret. */
const LOOK_MS = 5_000;

/**
 * Resolves once the files that a connection was made with say something else, or when `signal` aborts.
 *
 * @param before what `digestNow` said when the connection was made.
 */
export async function rotated(
  config: NatsConnectionConfig,
  before: string | undefined,
  clock: Clock,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    await clock.sleep(LOOK_MS, signal);
    const now = digestNow(config);
    if (now !== undefined && now !== before) return;
  }
}

/** Undefined while one of the files cannot be read, as in the middle of a change. */
export function digestNow(config: NatsConnectionConfig): string | undefined {
  try {
    return credentialsDigest(config);
  } catch {
    return undefined;
  }
}
