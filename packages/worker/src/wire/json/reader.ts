import { WireFormatError } from '../protobuf/reader.ts';

const QUOTE = 0x22;
const COMMA = 0x2c;
const COLON = 0x3a;
const OPEN_BRACKET = 0x5b;
const BACKSLASH = 0x5c;
const CLOSE_BRACKET = 0x5d;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;
/** `[` and `{` differ in this bit only, and so do `]` and `}`. */
const BRACE_BIT = 0x20;

/**
 * Walks JSON text in place: no values, no copies. It tells where members and elements lie, and does not judge what it
 * skips. One reader is reused for all frames of a feed. RFC 8259.
 */
export class JsonReader {
  #bytes: Uint8Array = new Uint8Array(0);
  /** Next byte to read. */
  position = 0;
  end = 0;
  /** The key of the member read last, without its quotes. */
  keyStart = 0;
  keyEnd = 0;
  /** The string read last has escapes: its bytes are not its text. */
  escaped = false;

  reset(bytes: Uint8Array, start: number, end: number): void {
    this.#bytes = bytes;
    this.position = start;
    this.end = end;
  }

  /** Moves behind the bracket when an object begins here; otherwise skips the value and returns false. */
  object(): boolean {
    return this.#open(OPEN_BRACE);
  }

  /** The same for an array. */
  array(): boolean {
    return this.#open(OPEN_BRACKET);
  }

  #open(bracket: number): boolean {
    this.#space();
    if (this.position < this.end && this.#bytes[this.position] === bracket) {
      this.position++;
      return true;
    }
    this.skip();
    return false;
  }

  /** Reads the key of the next member, and moves to its value; false behind the end of the object. */
  member(): boolean {
    if (!this.#next(CLOSE_BRACE)) return false;
    if (this.#bytes[this.position] !== QUOTE) throw new WireFormatError('a JSON key was expected');
    this.keyStart = this.position + 1;
    this.#string();
    this.keyEnd = this.position - 1;
    this.#space();
    if (this.#bytes[this.position] !== COLON || this.position >= this.end)
      throw new WireFormatError('a JSON key has no value');
    this.position++;
    this.#space();
    return true;
  }

  /** Moves to the next element; false behind the end of the array. */
  element(): boolean {
    return this.#next(CLOSE_BRACKET);
  }

  #next(close: number): boolean {
    this.#space();
    if (this.position < this.end && this.#bytes[this.position] === COMMA) {
      this.position++;
      this.#space();
    }
    if (this.position >= this.end) throw new WireFormatError('a JSON value ends early');
    if (this.#bytes[this.position] !== close) return true;
    this.position++;
    return false;
  }

  /** Whether the member read last has this key, given in UTF-8. */
  isKey(key: Uint8Array): boolean {
    const { keyStart, keyEnd } = this;
    if (this.escaped) return decodeString(this.#bytes, keyStart, keyEnd) === utf8.decode(key);
    const bytes = this.#bytes;
    if (keyEnd - keyStart !== key.length) return false;
    for (let i = 0; i < key.length; i++) if (bytes[keyStart + i] !== key[i]) return false;
    return true;
  }

  /** Skips the value here; true when it is a string, whose text lies between `position` before and after. */
  skip(): boolean {
    if (this.position >= this.end) throw new WireFormatError('a JSON value ends early');
    const first = this.#bytes[this.position] as number;
    if (first === QUOTE) {
      this.#string();
      return true;
    }
    if ((first | BRACE_BIT) === OPEN_BRACE) this.#container();
    else this.#literal();
    return false;
  }

  #literal(): void {
    const bytes = this.#bytes;
    const start = this.position;
    let at = start;
    for (; at < this.end; at++) {
      const c = bytes[at] as number;
      if (c === COMMA || c === QUOTE || c === COLON || c <= 0x20 || (c | BRACE_BIT) === CLOSE_BRACE) break;
    }
    if (at === start) throw new WireFormatError('a JSON value was expected');
    this.position = at;
  }

  #container(): void {
    const bytes = this.#bytes;
    const end = this.end;
    let at = this.position;
    let depth = 0;
    while (at < end) {
      const c = bytes[at++] as number;
      if (c === QUOTE) {
        // As in `#string`, whose call for each of the many strings of a body would cost more than they do.
        for (; at < end && bytes[at] !== QUOTE; at++) if (bytes[at] === BACKSLASH) at++;
        at++;
      } else if (c >= OPEN_BRACKET) {
        const folded = c | BRACE_BIT;
        if (folded === OPEN_BRACE) depth++;
        else if (folded === CLOSE_BRACE && --depth === 0) {
          this.position = at;
          return;
        }
      }
    }
    throw new WireFormatError('a JSON value ends early');
  }

  #string(): void {
    const bytes = this.#bytes;
    const end = this.end;
    let at = this.position + 1;
    this.escaped = false;
    while (at < end) {
      const c = bytes[at++] as number;
      if (c === QUOTE) {
        this.position = at;
        return;
      }
      if (c === BACKSLASH) {
        this.escaped = true;
        at++;
      }
    }
    throw new WireFormatError('a JSON string ends early');
  }

  #space(): void {
    const bytes = this.#bytes;
    while (this.position < this.end && (bytes[this.position] as number) <= 0x20) this.position++;
  }
}

const utf8 = new TextDecoder();

/** Text of the JSON string whose inside is `bytes[start, end)`. Throws WireFormatError. */
export function decodeString(bytes: Uint8Array, start: number, end: number): string {
  const text = utf8.decode(bytes.subarray(start, end));
  try {
    const value: unknown = JSON.parse(`"${text}"`);
    return String(value);
  } catch {
    throw new WireFormatError('a JSON string has an unknown escape');
  }
}
