import { sampleLines } from './exposition.ts';

/** Outcome of comparing the union of the targets with the reference, byte for byte, sorted, values included. */
export type Comparison =
  | { readonly equal: true; readonly lines: number }
  | { readonly equal: false; readonly difference: string };

/** Compares complete expositions. Several targets that show one line each count as that line twice. */
export function compareExpositions(reference: Buffer, targets: readonly Buffer[]): Comparison {
  const wanted = sampleLines(reference).sort();
  const union = targets.flatMap(sampleLines).sort();
  let i = 0;
  let j = 0;
  const missing: string[] = [];
  const extra: string[] = [];
  while (i < wanted.length || j < union.length) {
    const w = wanted[i];
    const u = union[j];
    if (w !== undefined && w === u) {
      i++;
      j++;
    } else if (u === undefined || (w !== undefined && w < u)) {
      missing.push(w as string);
      i++;
    } else {
      extra.push(u);
      j++;
    }
  }
  if (missing.length === 0 && extra.length === 0) return { equal: true, lines: wanted.length };
  return {
    equal: false,
    difference:
      `${missing.length} lines only in the reference, ${extra.length} only in the workers` +
      `${missing[0] === undefined ? '' : `; reference: ${missing[0]}`}${extra[0] === undefined ? '' : `; workers: ${extra[0]}`}`,
  };
}
