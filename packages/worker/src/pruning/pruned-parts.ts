/** Parts of a buffer to leave out: ascending, disjoint `[from, to)` pairs. Reused for every object. */
export class PrunedParts {
  readonly #bounds: number[] = [];
  #length = 0;
  /** Bytes left out so far. */
  bytes = 0;

  clear(): void {
    this.#length = 0;
    this.bytes = 0;
  }

  /** Adds a part that begins at or behind the end of the one before. */
  push(from: number, to: number): void {
    this.bytes += to - from;
    if (this.#length > 0 && this.#bounds[this.#length - 1] === from) {
      this.#bounds[this.#length - 1] = to;
      return;
    }
    this.#bounds[this.#length++] = from;
    this.#bounds[this.#length++] = to;
  }

  /** Takes back all parts that begin at `from` or later. */
  dropFrom(from: number): void {
    while (this.#length > 0 && (this.#bounds[this.#length - 2] as number) >= from) {
      this.bytes -= (this.#bounds[this.#length - 1] as number) - (this.#bounds[this.#length - 2] as number);
      this.#length -= 2;
    }
  }

  /** Copies `source[start, end)` without the parts to `target[at…]`; returns where the copy ends. */
  copyRest(source: Buffer, start: number, end: number, target: Buffer, at: number): number {
    let from = start;
    let to = at;
    for (let i = 0; i < this.#length; i += 2) {
      to += source.copy(target, to, from, this.#bounds[i]);
      from = this.#bounds[i + 1] as number;
    }
    return to + source.copy(target, to, from, end);
  }
}
