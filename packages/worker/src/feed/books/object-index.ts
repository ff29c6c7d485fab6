import type { SlotIndex } from '@shard-controller/shared/hashing';
import type { ResourceVersion } from '@shard-controller/shared/kubernetes';
/** What a feed remembers of an object: where it belongs and how new it is, never its body. */
export interface IndexEntry {
  readonly slot: SlotIndex;
  readonly namespace: string;
  readonly name: string;
  /** resourceVersion of the newest state seen, from the watch or from a list that was ahead of it. */
  version: ResourceVersion;
  /** Size of its newest frame that was sent, bytes. */
  bytes: number;
  /**
   * Bit per mark of a subscription, set when that subscription has been sent this object; `OTHERS` when one has whose mark
   * has no bit here. 0: none has. Read and written by the index.
   */
  sent: number;
}

/** Marks that have a bit in `sent`; an exporter's usual watches of a kind are one or two. */
const BITS = 30;
const OTHERS = 1 << BITS;

/** Marks of several subscriptions, to ask for at once. */
export interface Marks {
  readonly bits: number;
  readonly others: bigint;
}

export function marksOf(marks: Iterable<number>): Marks {
  let bits = 0;
  let others = 0n;
  for (const mark of marks) {
    if (mark < BITS) bits |= 1 << mark;
    else others |= otherBit(mark);
  }
  return { bits, others };
}

/** All objects of a feed, owned or not, by uid, with the cost per slot of those that were sent to the exporter. */
export class ObjectIndex {
  readonly #entries = new Map<string, IndexEntry>();
  /** Each namespace once, for as long as it has objects: objects are many, namespaces few. */
  readonly #namespaces = new Map<string, { readonly name: string; objects: number }>();
  /** Marks beyond those that have a bit in the entry: kube-state-metrics up to 2.19 watches nodes once per namespace. */
  readonly #others = new Map<IndexEntry, bigint>();
  readonly #sentPerSlot: Int32Array;
  readonly #bytesPerSlot: Float64Array;
  readonly #churnPerSlot: Float64Array;
  #sent = 0;
  #sentBytes = 0;
  #changes = 0;

  constructor(slotCount: number) {
    this.#sentPerSlot = new Int32Array(slotCount);
    this.#bytesPerSlot = new Float64Array(slotCount);
    this.#churnPerSlot = new Float64Array(slotCount);
  }

  /** Namespaces with objects. */
  get namespaceCount(): number {
    return this.#namespaces.size;
  }

  get slotCount(): number {
    return this.#sentPerSlot.length;
  }

  get size(): number {
    return this.#entries.size;
  }

  /** Objects that at least one subscription has been sent. */
  get sentCount(): number {
    return this.#sent;
  }

  /** Sizes of the newest frames of all objects that were sent, bytes. */
  get allSentBytes(): number {
    return this.#sentBytes;
  }

  /** Times that an object joined or left those that were sent; rises only. */
  get sentChanges(): number {
    return this.#changes;
  }

  sentInSlot(slot: SlotIndex): number {
    return this.#sentPerSlot[slot] ?? 0;
  }

  /** Sizes of the newest frames of the objects that were sent, bytes. */
  sentBytes(slot: number): number {
    return this.#bytesPerSlot[slot] ?? 0;
  }

  /** Bytes of live events that were sent since the feed began; lists and moves do not count. */
  churnBytes(slot: number): number {
    return this.#churnPerSlot[slot] ?? 0;
  }

  get(uid: string): IndexEntry | undefined {
    return this.#entries.get(uid);
  }

  add(uid: string, slot: SlotIndex, namespace: string, name: string, version: ResourceVersion): IndexEntry {
    const entry: IndexEntry = { slot, namespace: this.#shared(namespace), name, version, bytes: 0, sent: 0 };
    this.#entries.set(uid, entry);
    return entry;
  }

  remove(uid: string): void {
    const entry = this.#entries.get(uid);
    if (entry === undefined) return;
    if (entry.sent !== 0) this.#countSent(entry, -1);
    entry.sent = 0;
    this.#others.delete(entry);
    this.#entries.delete(uid);
    const namespace = this.#namespaces.get(entry.namespace);
    if (namespace !== undefined && --namespace.objects === 0) this.#namespaces.delete(entry.namespace);
  }

  isSent(entry: IndexEntry, mark: number): boolean {
    if (mark < BITS) return (entry.sent & (1 << mark)) !== 0;
    return (entry.sent & OTHERS) !== 0 && ((this.#others.get(entry) ?? 0n) & otherBit(mark)) !== 0n;
  }

  /** Whether the subscriptions of all these marks have been sent the object. */
  isSentToAll(entry: IndexEntry, { bits, others }: Marks): boolean {
    if ((entry.sent & bits) !== bits) return false;
    return others === 0n || ((this.#others.get(entry) ?? 0n) & others) === others;
  }

  markSent(entry: IndexEntry, mark: number): void {
    if (entry.sent === 0) this.#countSent(entry, 1);
    if (mark < BITS) entry.sent |= 1 << mark;
    else {
      entry.sent |= OTHERS;
      this.#others.set(entry, (this.#others.get(entry) ?? 0n) | otherBit(mark));
    }
  }

  clearSent(entry: IndexEntry, mark: number): void {
    if (!this.isSent(entry, mark)) return;
    if (mark < BITS) entry.sent &= ~(1 << mark);
    else {
      const left = (this.#others.get(entry) ?? 0n) & ~otherBit(mark);
      if (left !== 0n) this.#others.set(entry, left);
      else {
        this.#others.delete(entry);
        entry.sent &= ~OTHERS;
      }
    }
    if (entry.sent === 0) this.#countSent(entry, -1);
  }

  entries(): IterableIterator<[string, IndexEntry]> {
    return this.#entries.entries();
  }

  #shared(namespace: string): string {
    const known = this.#namespaces.get(namespace) ?? { name: namespace, objects: 0 };
    if (known.objects++ === 0) this.#namespaces.set(namespace, known);
    return known.name;
  }

  /** Notes the size of an object that has just been sent, in bytes. */
  measure(entry: IndexEntry, bytes: number): void {
    this.#addBytes(entry.slot, bytes - entry.bytes);
    entry.bytes = bytes;
  }

  /** Notes a live event that went to the exporter, in bytes. */
  noteEvent(slot: number, bytes: number): void {
    this.#churnPerSlot[slot] = (this.#churnPerSlot[slot] ?? 0) + bytes;
  }

  #countSent({ slot, bytes }: IndexEntry, by: 1 | -1): void {
    this.#sentPerSlot[slot] = (this.#sentPerSlot[slot] ?? 0) + by;
    this.#addBytes(slot, by * bytes);
    this.#sent += by;
    this.#changes++;
  }

  #addBytes(slot: number, bytes: number): void {
    this.#sentBytes += bytes;
    this.#bytesPerSlot[slot] = (this.#bytesPerSlot[slot] ?? 0) + bytes;
  }
}

const otherBit = (mark: number): bigint => 1n << BigInt(mark - BITS);
