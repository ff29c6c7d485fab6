/** Reading of the Prometheus text format as kube-state-metrics writes it: one sample a line, no timestamps. */

const NEWLINE = 0x0a;
const HASH = 0x23;
const SPACE = 0x20;

/**
 * Calls `visit(high, low, start, end)` for each sample line of `body[0, length)` with the hash of its series (name and
 * labels, without the value) and the line's borders. A last line that is cut off is not visited.
 */
export function forEachSeries(
  body: Uint8Array,
  length: number,
  visit: (high: number, low: number, start: number, end: number) => void,
): void {
  let start = 0;
  while (start < length) {
    const end = body.indexOf(NEWLINE, start);
    if (end === -1 || end >= length) return;
    if (end > start && body[start] !== HASH) {
      let stop = end - 1;
      while (stop > start && body[stop] !== SPACE) stop--;
      let high = 0x811c9dc5;
      let low = 0x9747b28c;
      for (let i = start; i < stop; i++) {
        const byte = body[i] as number;
        high = Math.imul(high ^ byte, 0x01000193);
        low = Math.imul((low << 5) ^ (low >>> 27) ^ byte, 0x85ebca6b);
      }
      visit(high >>> 0, low >>> 0, start, end);
    }
    start = end + 1;
  }
}

/** The sample lines of a body, values included. */
export function sampleLines(body: Buffer): string[] {
  return body
    .toString('utf8')
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'));
}
