/** Durations in the form of Go's `time.ParseDuration`, which Kubernetes users write: `300ms`, `1h2m3.5s`. */

const UNIT_MS: ReadonlyMap<string, number> = new Map([
  ['ns', 1e-6],
  ['us', 1e-3],
  ['µs', 1e-3],
  ['μs', 1e-3],
  ['ms', 1],
  ['s', 1000],
  ['m', 60_000],
  ['h', 3_600_000],
]);

const PART = /([0-9]+\.?[0-9]*|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h)/gy;

/** A text that is no duration. @remedy write it as in Go, for example `1m30s`. */
export class DurationError extends Error {
  readonly code = 'SC_DURATION';
  override readonly name = 'DurationError';
}

/**
 * Milliseconds of a Go duration. Negative durations are refused: nothing here can wait for one.
 * @throws DurationError
 */
export function parseGoDuration(text: string): number {
  if (text === '0') return 0;
  let ms = 0;
  let end = 0;
  for (const match of text.matchAll(PART)) {
    const [whole, digits = '', unit = ''] = match;
    ms += Number(digits) * (UNIT_MS.get(unit) ?? Number.NaN);
    end += whole.length;
  }
  if (end === 0 || end !== text.length || !Number.isFinite(ms)) {
    throw new DurationError(`"${text}" is not a duration: write a number with a unit, like 500ms, 30s, 5m or 1h30m`);
  }
  return Math.round(ms * 1e6) / 1e6;
}

/** The shortest Go form of a duration in ms, largest unit first: 3723500 -> `1h2m3.5s`. Precision: 1 us. */
export function formatGoDuration(ms: number): string {
  if (!Number.isFinite(ms) || ms < 0) throw new DurationError(`${ms} ms is not a duration: it must be 0 or more`);
  const us = Math.round(ms * 1000);
  if (us === 0) return '0s';
  if (us < 1000) return `${us}us`;
  if (us < 1_000_000) return `${us / 1000}ms`;
  const hours = Math.floor(us / 3_600_000_000);
  const minutes = Math.floor(us / 60_000_000) % 60;
  const seconds = (us % 60_000_000) / 1_000_000;
  return `${hours > 0 ? `${hours}h` : ''}${minutes > 0 ? `${minutes}m` : ''}${seconds > 0 ? `${seconds}s` : ''}`;
}
