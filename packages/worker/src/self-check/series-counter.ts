const NEWLINE = 0x0a;
const HASH = 0x23;
const BRACE = 0x7b;
const SPACE = 0x20;
const HELP = Buffer.from('# HELP ');

/** A line longer than this is none of an exposition, bytes. */
const MAX_LINE = 4 * 1024 * 1024;

/** What came is no text exposition. @remedy check the image of kube-state-metrics. */
class ExpositionFormatError extends Error {
  override readonly name = 'ExpositionFormatError';
  readonly code = 'SC_EXPOSITION_FORMAT';
}

/**
 * Counts series by metric name in a text exposition as it arrives, and keeps nothing of it but names. Lines of one
 * family follow each other, so most are told by comparing them with the name before.
 */
export class SeriesCounter {
  readonly #series = new Map<string, number>();
  readonly #headers = new Set<string>();
  #rest: Buffer = Buffer.alloc(0);
  #name: Buffer = Buffer.alloc(0);
  #count = 0;

  /** Throws ExpositionFormatError. */
  push(chunk: Buffer): void {
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    let start = 0;
    for (let end = bytes.indexOf(NEWLINE); end >= 0; end = bytes.indexOf(NEWLINE, start)) {
      if (end > start) this.#line(bytes, start, end);
      start = end + 1;
    }
    // A copy, or the whole chunk would be kept.
    this.#rest = Buffer.from(bytes.subarray(start));
    if (this.#rest.length > MAX_LINE) {
      throw new ExpositionFormatError(`a line of the exposition is longer than ${MAX_LINE} bytes`);
    }
  }

  /** Series of this metric in all lines so far. */
  series(metric: string): number {
    this.#store();
    return this.#series.get(metric) ?? 0;
  }

  /** Whether the metric is exposed, be it without a series. */
  has(metric: string): boolean {
    return this.#headers.has(metric) || this.series(metric) > 0;
  }

  hasPrefix(prefix: string): boolean {
    this.#store();
    for (const names of [this.#headers, this.#series.keys()]) {
      for (const name of names) if (name.startsWith(prefix)) return true;
    }
    return false;
  }

  #line(bytes: Buffer, start: number, end: number): void {
    if (bytes[start] === HASH) {
      if (startsWith(bytes, start, end, HELP)) {
        const from = start + HELP.length;
        this.#headers.add(bytes.toString('latin1', from, nameEnd(bytes, from, end)));
      }
      return;
    }
    const after = bytes[start + this.#name.length];
    if (this.#name.length > 0 && (after === BRACE || after === SPACE) && startsWith(bytes, start, end, this.#name)) {
      this.#count++;
      return;
    }
    this.#store();
    this.#name = Buffer.from(bytes.subarray(start, nameEnd(bytes, start, end)));
    this.#count = 1;
  }

  #store(): void {
    if (this.#count === 0) return;
    const name = this.#name.toString('latin1');
    this.#series.set(name, (this.#series.get(name) ?? 0) + this.#count);
    this.#count = 0;
  }
}

function startsWith(bytes: Buffer, start: number, end: number, what: Buffer): boolean {
  if (end - start < what.length) return false;
  for (let i = what.length - 1; i >= 0; i--) if (bytes[start + i] !== what[i]) return false;
  return true;
}

function nameEnd(bytes: Buffer, start: number, end: number): number {
  let at = start;
  while (at < end && bytes[at] !== BRACE && bytes[at] !== SPACE) at++;
  return at;
}
