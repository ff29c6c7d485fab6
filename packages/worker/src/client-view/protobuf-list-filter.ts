import { blockHead, ProtobufReader, WireFormatError } from '../wire/index.ts';
import type { ListFilter, ListItemTest, ListMetadata } from './list-item.ts';

const MAGIC = 0x6b387300;
const MAX_ITEM = 64 * 1024 * 1024;
const EMPTY = Buffer.alloc(0);

/**
 * Filters a protobuf list while it arrives. The message's length stands before it, so what is kept waits for the end;
 * what is not kept is gone at once.
 */
export class ProtobufListFilter implements ListFilter {
  readonly #keeps: ListItemTest;
  readonly #found: ListMetadata;
  readonly #keepsCount: boolean;
  readonly #reader = new ProtobufReader();
  #rest: Buffer = EMPTY;
  #stage: 'envelope' | 'list' | 'tail' = 'envelope';
  /** Bytes of the list message that have not been read. */
  #left = 0;
  #head: Buffer = EMPTY;
  #kept: Buffer[] = [];
  #keptBytes = 0;
  #tail: Buffer[] = [];

  constructor(keeps: ListItemTest, found: ListMetadata, keepsCount: boolean) {
    this.#keeps = keeps;
    this.#found = found;
    this.#keepsCount = keepsCount;
  }

  push(chunk: Buffer): Buffer[] {
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    let at = this.#stage === 'envelope' ? this.#envelope(bytes) : 0;
    while (this.#stage === 'list') {
      const next = this.#field(bytes, at);
      if (next === undefined) break;
      this.#left -= next - at;
      at = next;
      if (this.#left <= 0) this.#stage = 'tail';
    }
    if (this.#stage === 'tail') {
      if (at < bytes.length) this.#tail.push(Buffer.from(bytes.subarray(at)));
      at = bytes.length;
    }
    this.#rest = bytes.subarray(at);
    if (this.#rest.length > MAX_ITEM) throw new WireFormatError(`a list item is longer than ${MAX_ITEM} bytes`);
    return [];
  }

  end(): Buffer[] {
    if (this.#stage !== 'tail') throw new WireFormatError('a list ends early');
    return [this.#head, blockHead(2, this.#keptBytes), ...this.#kept, ...this.#tail];
  }

  /** Reads up to where the list message starts; 0 while it is not all there. */
  #envelope(bytes: Buffer): number {
    if (bytes.length < 4) return 0;
    if (bytes.readUInt32BE(0) !== MAGIC) throw new WireFormatError('the k8s envelope is missing');
    const reader = this.#reader;
    reader.reset(bytes, 4, Number.MAX_SAFE_INTEGER);
    while (hasHead(bytes, reader.position)) {
      const start = reader.position;
      reader.next();
      const stop = reader.block();
      if (reader.field === 2) {
        this.#head = Buffer.from(bytes.subarray(0, start));
        this.#left = stop - reader.position;
        this.#stage = this.#left === 0 ? 'tail' : 'list';
        return reader.position;
      }
      if (stop > bytes.length) return 0;
      reader.position = stop;
    }
    return 0;
  }

  /** Takes one field of the list in; returns where it ends, or undefined while it is not all there. */
  #field(bytes: Buffer, at: number): number | undefined {
    if (!hasHead(bytes, at)) return undefined;
    const reader = this.#reader;
    reader.reset(bytes, at, at + this.#left);
    reader.next();
    const { field } = reader;
    const stop = reader.block();
    if (stop > bytes.length) return undefined;
    const start = reader.position;
    if (field === 2) this.#item(bytes, start, stop);
    else if (field === 1) this.#metadata(bytes, start, stop);
    else this.#keep(Buffer.from(bytes.subarray(at, stop)));
    return stop;
  }

  #item(bytes: Buffer, start: number, stop: number): void {
    const kept = this.#keeps(bytes, start, stop);
    if (kept === undefined) return;
    this.#keep(Buffer.concat([blockHead(2, kept.length), kept]));
  }

  /** `ListMeta{resourceVersion=2, continue=3, remainingItemCount=4}`. */
  #metadata(bytes: Buffer, start: number, stop: number): void {
    const reader = this.#reader;
    reader.reset(bytes, start, stop);
    const parts: Buffer[] = [];
    let from = start;
    while (reader.next()) {
      const { field, wireType } = reader;
      if ((field === 2 || field === 3) && wireType === 2) {
        const end = reader.block();
        const text = bytes.toString('utf8', reader.position, end);
        if (field === 2) this.#found.resourceVersion = text;
        else this.#found.continueToken = text;
        reader.position = end;
      } else reader.skip();
      if (field !== 4 || this.#keepsCount) parts.push(bytes.subarray(from, reader.position));
      from = reader.position;
    }
    const metadata = Buffer.concat(parts);
    this.#keep(Buffer.concat([blockHead(1, metadata.length), metadata]));
  }

  #keep(bytes: Buffer): void {
    this.#kept.push(bytes);
    this.#keptBytes += bytes.length;
  }
}

/** Whether tag and length of the field at `at` are there: two varints. */
function hasHead(bytes: Buffer, at: number): boolean {
  let ends = 0;
  for (let i = at; i < bytes.length && i < at + 20; i++) {
    if ((bytes[i] as number) < 0x80 && ++ends === 2) return true;
  }
  return false;
}
