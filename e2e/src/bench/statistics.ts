/** The value below which a share `p` (0 to 1) of the samples lies, nearest rank; null without samples. */
export function quantile(samples: readonly number[], p: number): number | null {
  const sorted = samples.toSorted((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(p * sorted.length) - 1)] ?? null;
}

export const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);

export const mean = (values: readonly number[]): number | null =>
  values.length === 0 ? null : sum(values) / values.length;

export const largest = (values: readonly number[]): number | null => (values.length === 0 ? null : Math.max(...values));

/** `a` / `b`, or null when one of them is missing or `b` is 0. */
export function ratio(a: number | null | undefined, b: number | null | undefined): number | null {
  return a === null || a === undefined || b === null || b === undefined || b === 0 ? null : a / b;
}
