import { sampleLines } from './exposition.ts';

/** Outcome of comparing the union of the targets with the reference, byte for byte, sorted, values included. */
export type Comparison =
  | { readonly equal: true; readonly lines: number }
  | { readonly equal: false; readonly difference: string };

/**
 * Compares the union of the targets with the reference. The reference is scraped before and after the targets: a line
 * that is in both of these must be in exactly one target, a line that is in neither must be in none, and a line that
 * came or went between the two (a Lease that was renewed) may be in one target or in none.
 */
export function compareExpositions(before: Buffer, after: Buffer, targets: readonly Buffer[]): Comparison {
  const counts = new Map<string, number>();
  for (const line of targets.flatMap(sampleLines)) counts.set(line, (counts.get(line) ?? 0) + 1);
  const first = countLines(before);
  const second = countLines(after);
  const missing: string[] = [];
  const extra: string[] = [];
  let lines = 0;
  for (const line of new Set([...first.keys(), ...second.keys(), ...counts.keys()])) {
    const has = counts.get(line) ?? 0;
    const low = Math.min(first.get(line) ?? 0, second.get(line) ?? 0);
    const high = Math.max(first.get(line) ?? 0, second.get(line) ?? 0);
    lines += low;
    if (has < low) missing.push(line);
    if (has > high) extra.push(line);
  }
  if (missing.length === 0 && extra.length === 0) return { equal: true, lines };
  const named = (kind: string, list: string[]): string =>
    list.length === 0 ? '' : `; ${kind}: ${list.sort().slice(0, 3).join(' | ')}`;
  return {
    equal: false,
    difference:
      `${missing.length} lines only in the reference, ${extra.length} only in the workers` +
      `${named('reference', missing)}${named('workers', extra)}`,
  };
}

function countLines(body: Buffer): Map<string, number> {
  const counts = new Map<string, number>();
  for (const line of sampleLines(body)) counts.set(line, (counts.get(line) ?? 0) + 1);
  return counts;
}
