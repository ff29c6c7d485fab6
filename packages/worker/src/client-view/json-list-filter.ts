import { WireFormatError } from '../wire/index.ts';
import type { ListFilter, ListItemTest } from './list-item.ts';

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
const COLON = 0x3a;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACKET = 0x5d;
const COMMA_BYTES = Buffer.from(',');

/** Lists are longer than this only by their items. Bytes. */
const MAX_ITEM = 64 * 1024 * 1024;

/**
 * Filters a JSON list (or the rows of a Table) while it arrives: everything but the items goes through as it came, so
 * that the whole list is never in memory, and an item only until it is complete.
 */
export class JsonListFilter implements ListFilter {
  readonly #keeps: ListItemTest;
  readonly #editMetadata: (text: string) => string;
  #depth = 0;
  #inString = false;
  #escaped = false;
  /** In `items` or `rows`. */
  #inArray = false;
  #isFirst = true;
  #isKey = true;
  #key = '';
  /** What is being held back until it is complete: a key, an item, or the list's metadata. */
  #holds: 'key' | 'item' | 'metadata' | undefined;
  #held: Buffer[] = [];
  #heldBytes = 0;

  constructor(keeps: ListItemTest, editMetadata: (text: string) => string) {
    this.#keeps = keeps;
    this.#editMetadata = editMetadata;
  }

  push(chunk: Buffer): Buffer[] {
    const out: Buffer[] = [];
    let from = 0;
    for (let i = 0; i < chunk.length; i++) {
      const c = chunk[i] as number;
      if (this.#inString) {
        if (this.#escaped) this.#escaped = false;
        else if (c === BACKSLASH) this.#escaped = true;
        else if (c === QUOTE) {
          this.#inString = false;
          if (this.#holds === 'key') {
            const key = this.#release(chunk, from, i + 1);
            this.#key = key.toString('latin1', 1, key.length - 1);
            out.push(key);
            from = i + 1;
          }
        }
        continue;
      }
      if (c <= 0x20) continue;
      if (c === QUOTE) {
        this.#inString = true;
        if (this.#depth === 1 && this.#isKey) from = this.#hold('key', chunk, from, i, out);
        continue;
      }
      if (c === COLON) {
        if (this.#depth === 1) this.#isKey = false;
        continue;
      }
      if (c === COMMA) {
        if (this.#depth === 1) this.#isKey = true;
        else if (this.#inArray && this.#depth === 2) from = this.#pass(chunk, from, i, out, 1);
        continue;
      }
      // `{` and `[` have bit 0x20 less than their ends: 0x7b/0x7d and 0x5b/0x5d.
      if (c === OPEN_BRACKET || c === 0x7b) {
        if (this.#depth === 1 && this.#key === 'metadata' && c === 0x7b) {
          from = this.#hold('metadata', chunk, from, i, out);
        } else if (this.#depth === 1 && c === OPEN_BRACKET && (this.#key === 'items' || this.#key === 'rows')) {
          this.#inArray = true;
          this.#isFirst = true;
        } else if (this.#depth === 2 && this.#inArray) from = this.#hold('item', chunk, from, i, out);
        this.#depth++;
        continue;
      }
      if (c !== CLOSE_BRACKET && c !== 0x7d) continue;
      this.#depth--;
      if (this.#depth === 2 && this.#holds === 'item') from = this.#item(chunk, from, i + 1, out);
      else if (this.#depth === 1 && this.#holds === 'metadata') {
        out.push(Buffer.from(this.#editMetadata(this.#release(chunk, from, i + 1).toString('utf8'))));
        from = i + 1;
      } else if (this.#depth === 1) this.#inArray = false;
    }
    this.#rest(chunk, from, out);
    return out;
  }

  end(): Buffer[] {
    if (this.#depth !== 0 || this.#inString) throw new WireFormatError('a list ends early');
    return [];
  }

  /** Sends on what came before `at` and begins to hold; returns the new start of what is open. */
  #hold(what: 'key' | 'item' | 'metadata', chunk: Buffer, from: number, at: number, out: Buffer[]): number {
    if (what !== 'item' && at > from) out.push(chunk.subarray(from, at));
    // Space between items is dropped with the commas.
    else if (what === 'item') pushText(chunk, from, at, out);
    this.#holds = what;
    return at;
  }

  /** Sends on up to `at` and leaves out `skip` bytes there. */
  #pass(chunk: Buffer, from: number, at: number, out: Buffer[], skip: number): number {
    pushText(chunk, from, at, out);
    return at + skip;
  }

  #release(chunk: Buffer, from: number, to: number): Buffer {
    const last = chunk.subarray(from, to);
    const whole = this.#held.length === 0 ? last : Buffer.concat([...this.#held, last]);
    this.#holds = undefined;
    this.#held = [];
    this.#heldBytes = 0;
    return whole;
  }

  #item(chunk: Buffer, from: number, to: number, out: Buffer[]): number {
    const item = this.#release(chunk, from, to);
    const kept = this.#keeps(item, 0, item.length, this.#key === 'rows');
    if (kept !== undefined) {
      if (!this.#isFirst) out.push(COMMA_BYTES);
      this.#isFirst = false;
      out.push(kept);
    }
    return to;
  }

  #rest(chunk: Buffer, from: number, out: Buffer[]): void {
    if (from >= chunk.length) return;
    const rest = chunk.subarray(from);
    if (this.#holds === undefined) {
      out.push(rest);
      return;
    }
    this.#held.push(rest);
    this.#heldBytes += rest.length;
    if (this.#heldBytes > MAX_ITEM) throw new WireFormatError(`a list item is longer than ${MAX_ITEM} bytes`);
  }
}

function pushText(chunk: Buffer, from: number, at: number, out: Buffer[]): void {
  if (at > from) out.push(chunk.subarray(from, at));
}
