/**
 * Interns series by a 64-bit hash of `name{labels}`, so that a scrape of 100,000 lines costs no string and no garbage.
 * Two different series meet in one entry with a chance of about n^2 / 2^65: 3e-10 for 100,000 series.
 */
export class SeriesTable {
  /** Number of series ever seen; ids are 0 to size - 1. */
  size = 0;
  #slots = new Int32Array(1 << 18).fill(-1);
  #high = new Uint32Array(1 << 17);
  #low = new Uint32Array(1 << 17);

  /** Capacity for per-series arrays of the caller. */
  get capacity(): number {
    return this.#high.length;
  }

  /** The id of the series with this hash, made when it is new. */
  intern(high: number, low: number): number {
    const mask = this.#slots.length - 1;
    let at = (low ^ Math.imul(high, 0x9e3779b1)) & mask;
    for (;;) {
      const id = this.#slots[at] as number;
      if (id === -1) break;
      if (this.#low[id] === low && this.#high[id] === high) return id;
      at = (at + 1) & mask;
    }
    if (this.size === this.#high.length) {
      this.#grow();
      return this.intern(high, low);
    }
    const id = this.size++;
    this.#slots[at] = id;
    this.#high[id] = high;
    this.#low[id] = low;
    return id;
  }

  #grow(): void {
    const high = new Uint32Array(this.#high.length * 2);
    const low = new Uint32Array(this.#low.length * 2);
    high.set(this.#high);
    low.set(this.#low);
    this.#high = high;
    this.#low = low;
    this.#slots = new Int32Array(this.#slots.length * 2).fill(-1);
    const mask = this.#slots.length - 1;
    for (let id = 0; id < this.size; id++) {
      let at = ((low[id] as number) ^ Math.imul(high[id] as number, 0x9e3779b1)) & mask;
      while (this.#slots[at] !== -1) at = (at + 1) & mask;
      this.#slots[at] = id;
    }
  }
}
