/** Oldest server whose JetStream keeps every setting and condition that is used here. */
export const MINIMUM_SERVER = '2.12.0';

const LONGEST_DELAY_MS = 1000;

/** True when `version` (`2.11.4`, `2.12.0-beta.1`, …) is older than the minimum, or unreadable. */
export function isOldVersion(version: string): boolean {
  const parts = /^(\d+)\.(\d+)\./.exec(version);
  if (parts === null) return true;
  const [major, minor] = [Number(parts[1]), Number(parts[2])];
  return major < 2 || (major === 2 && minor < 12);
}

/**
 * Wait before the next dial, ms, after `failures` failed ones in a row; `random` in [0, 1). Half of it is jitter, so
 * that a fleet does not dial in step; it stays below 1 s, so that a server that is back is found within a second.
 */
export function delayBeforeAttempt(failures: number, random: number): number {
  const cap = Math.min(LONGEST_DELAY_MS, 100 * 2 ** Math.min(failures, 10));
  return cap * (0.5 + random / 2);
}

/** `host:port` of URLs, without credentials: what a log line may show. */
export function serverNames(servers: readonly string[]): string[] {
  return servers.map((server) => server.replace(/^[a-z]+:\/\//, '').replace(/^.*@/, ''));
}

/** Waits for `work`, but no longer than `ms`. */
export async function deadline(work: Promise<unknown>, ms: number): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, ms);
  await Promise.race([work, promise]);
  clearTimeout(timer);
}
