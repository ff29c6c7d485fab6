const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** A length of time as kubectl writes ages: `45s`, `12m`, `5h`, `3d`. */
export function age(ms: number): string {
  if (ms < 2 * MINUTE) return `${Math.max(0, Math.round(ms / 1000))}s`;
  if (ms < 2 * HOUR) return `${Math.floor(ms / MINUTE)}m`;
  if (ms < 2 * DAY) return `${Math.floor(ms / HOUR)}h`;
  return `${Math.floor(ms / DAY)}d`;
}

/** A short time with a decimal: `2.5 s`. */
export const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`;

/** `12,345`. */
export const count = (n: number): string => n.toLocaleString('en-US');

/** A load of 0.42 as `42%`; `-` when it is not known. */
export const percent = (ratio: number | undefined): string =>
  ratio === undefined ? '-' : `${Math.round(ratio * 100)}%`;

/** A load as a bar of ten; full is the capacity. */
export function bar(ratio: number | undefined): string {
  if (ratio === undefined) return ' '.repeat(10);
  const full = Math.max(0, Math.min(10, Math.round(ratio * 10)));
  return '█'.repeat(full) + '░'.repeat(10 - full);
}
