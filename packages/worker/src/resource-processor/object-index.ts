/** What a feed remembers of an object: where it belongs and how new it is, never its body. */
export interface IndexEntry {
  readonly slot: number;
  readonly namespace: string;
  readonly name: string;
  /** resourceVersion of the newest state seen, from the watch or from a list that was ahead of it. */
  version: string;
  /** Bit per subscription: set when that subscription has been sent this object. */
  sent: number;
}

/** All objects of a feed, owned or not, by uid, with counts per slot of those that were sent to the exporter. */
export class ObjectIndex {
  readonly #entries = new Map<string, IndexEntry>();
  /** Each namespace once: objects are many, namespaces few. Those without objects are kept. */
  readonly #namespaces = new Map<string, string>();
  readonly #sentPerSlot: Int32Array;
  #sent = 0;

  constructor(slotCount: number) {
    this.#sentPerSlot = new Int32Array(slotCount);
  }

  get size(): number {
    return this.#entries.size;
  }

  /** Objects that at least one subscription has been sent. */
  get sentCount(): number {
    return this.#sent;
  }

  sentInSlot(slot: number): number {
    return this.#sentPerSlot[slot] ?? 0;
  }

  get(uid: string): IndexEntry | undefined {
    return this.#entries.get(uid);
  }

  add(uid: string, slot: number, namespace: string, name: string, version: string): IndexEntry {
    const entry: IndexEntry = { slot, namespace: this.#shared(namespace), name, version, sent: 0 };
    this.#entries.set(uid, entry);
    return entry;
  }

  remove(uid: string): void {
    const entry = this.#entries.get(uid);
    if (entry === undefined) return;
    this.clearSent(entry, ~0);
    this.#entries.delete(uid);
  }

  markSent(entry: IndexEntry, bit: number): void {
    if (entry.sent === 0) this.#countSent(entry.slot, 1);
    entry.sent |= bit;
  }

  clearSent(entry: IndexEntry, bits: number): void {
    if (entry.sent === 0) return;
    entry.sent &= ~bits;
    if (entry.sent === 0) this.#countSent(entry.slot, -1);
  }

  entries(): IterableIterator<[string, IndexEntry]> {
    return this.#entries.entries();
  }

  #shared(namespace: string): string {
    const known = this.#namespaces.get(namespace);
    if (known !== undefined) return known;
    this.#namespaces.set(namespace, namespace);
    return namespace;
  }

  #countSent(slot: number, by: number): void {
    this.#sentPerSlot[slot] = (this.#sentPerSlot[slot] ?? 0) + by;
    this.#sent += by;
  }
}
