import { type FrameView, INITIAL_EVENTS_END, watchEventType } from './frame-view.ts';
import { WireFormatError } from './protobuf-reader.ts';
import type { StatusSummary } from './protobuf-frame.ts';

/**
 * Finds the parts of JSON text that decide where an object belongs, without building the object: custom resources come
 * as JSON, and their bodies must pass untouched (numbers included).
 */

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACKET = 0x5d;
const COMMA = 0x2c;
const COLON = 0x3a;

type Bytes = Buffer;

function skipSpace(b: Bytes, at: number, end: number): number {
  let i = at;
  while (i < end && (b[i] as number) <= 0x20) i++;
  return i;
}

/** Position behind the string that starts at `at`. */
function skipString(b: Bytes, at: number, end: number): number {
  let i = at + 1;
  while (i < end) {
    const c = b[i] as number;
    if (c === QUOTE) return i + 1;
    i += c === BACKSLASH ? 2 : 1;
  }
  throw new WireFormatError('a JSON string ends early');
}

/** Position behind the value that starts at `at`. */
function skipValue(b: Bytes, at: number, end: number): number {
  const first = b[at] as number;
  if (first === QUOTE) return skipString(b, at, end);
  let i = at;
  if (first !== OPEN_BRACE && first !== OPEN_BRACKET) {
    while (i < end) {
      const c = b[i] as number;
      if (c === COMMA || c === CLOSE_BRACE || c === CLOSE_BRACKET || c <= 0x20) return i;
      i++;
    }
    return i;
  }
  let depth = 0;
  while (i < end) {
    const c = b[i] as number;
    if (c === QUOTE) {
      i = skipString(b, i, end);
      continue;
    }
    if (c === OPEN_BRACE || c === OPEN_BRACKET) depth++;
    else if (c === CLOSE_BRACE || c === CLOSE_BRACKET) {
      depth--;
      if (depth === 0) return i + 1;
    }
    i++;
  }
  throw new WireFormatError('a JSON value ends early');
}

/** Calls `visit(key start, key end, value start, value end)` for each member of the object at `at`; quotes excluded. */
export function eachMember(
  b: Bytes,
  at: number,
  end: number,
  visit: (keyStart: number, keyEnd: number, valueStart: number, valueEnd: number) => void,
): void {
  let i = skipSpace(b, at, end);
  if (b[i] !== OPEN_BRACE) throw new WireFormatError('a JSON object was expected');
  i = skipSpace(b, i + 1, end);
  while (i < end && b[i] !== CLOSE_BRACE) {
    if (b[i] !== QUOTE) throw new WireFormatError('a JSON key was expected');
    const keyStart = i + 1;
    i = skipString(b, i, end);
    const keyEnd = i - 1;
    i = skipSpace(b, i, end);
    if (b[i] !== COLON) throw new WireFormatError('a JSON key has no value');
    const valueStart = skipSpace(b, i + 1, end);
    i = skipValue(b, valueStart, end);
    visit(keyStart, keyEnd, valueStart, i);
    i = skipSpace(b, i, end);
    if (b[i] === COMMA) i = skipSpace(b, i + 1, end);
  }
}

export function isKey(b: Bytes, start: number, end: number, key: string): boolean {
  return end - start === key.length && b.toString('latin1', start, end) === key;
}

/** Reads the newline-delimited watch event in `bytes[start, end)`. Throws WireFormatError. */
export function readJsonFrame(bytes: Buffer, start: number, end: number, view: FrameView): void {
  view.clear(bytes);
  eachMember(bytes, start, end, (keyStart, keyEnd, valueStart, valueEnd) => {
    if (isKey(bytes, keyStart, keyEnd, 'type'))
      view.type = watchEventType(bytes.toString('latin1', valueStart + 1, valueEnd - 1));
    else if (isKey(bytes, keyStart, keyEnd, 'object')) {
      view.objectStart = valueStart;
      view.objectEnd = valueEnd;
    }
  });
  if (view.objectEnd === 0) throw new WireFormatError('a watch event has no object');
  if (view.type !== 'ERROR') readJsonMeta(bytes, view.objectStart, view.objectEnd, view);
}

/** Reads name, namespace, uid and resourceVersion of the JSON object in `bytes[start, end)` into `view`. */
export function readJsonMeta(bytes: Buffer, start: number, end: number, view: FrameView): void {
  eachMember(bytes, start, end, (keyStart, keyEnd, valueStart, valueEnd) => {
    if (!isKey(bytes, keyStart, keyEnd, 'metadata')) return;
    eachMember(bytes, valueStart, valueEnd, (metaKeyStart, metaKeyEnd, from, to) => {
      switch (bytes.toString('latin1', metaKeyStart, metaKeyEnd)) {
        case 'name':
          view.nameStart = from + 1;
          view.nameEnd = to - 1;
          break;
        case 'namespace':
          view.namespaceStart = from + 1;
          view.namespaceEnd = to - 1;
          break;
        case 'uid':
          view.uidStart = from + 1;
          view.uidEnd = to - 1;
          break;
        case 'resourceVersion':
          view.versionStart = from + 1;
          view.versionEnd = to - 1;
          break;
        case 'annotations':
          if (view.type === 'BOOKMARK' && bytes.toString('utf8', from, to).includes(INITIAL_EVENTS_END)) {
            view.initialEventsEnd = true;
          }
          break;
        default:
      }
    });
  });
}

/** Calls `item(start, end)` for each element of `items` in a JSON list; returns resourceVersion and continue token. */
export function readJsonList(
  bytes: Buffer,
  item: (start: number, end: number) => void,
): { readonly resourceVersion: string; readonly continueToken: string } {
  let resourceVersion = '';
  let continueToken = '';
  eachMember(bytes, 0, bytes.length, (keyStart, keyEnd, valueStart, valueEnd) => {
    if (isKey(bytes, keyStart, keyEnd, 'metadata')) {
      eachMember(bytes, valueStart, valueEnd, (metaKeyStart, metaKeyEnd, from, to) => {
        const key = bytes.toString('latin1', metaKeyStart, metaKeyEnd);
        if (key === 'resourceVersion') resourceVersion = bytes.toString('latin1', from + 1, to - 1);
        else if (key === 'continue') continueToken = bytes.toString('latin1', from + 1, to - 1);
      });
    } else if (isKey(bytes, keyStart, keyEnd, 'items')) eachElement(bytes, valueStart, valueEnd, item);
  });
  return { resourceVersion, continueToken };
}

/** Calls `visit(start, end)` for each element of the array in `bytes[at, end)`; anything else has none. */
export function eachElement(bytes: Buffer, at: number, end: number, visit: (start: number, end: number) => void): void {
  if (bytes[at] !== OPEN_BRACKET) return;
  let i = skipSpace(bytes, at + 1, end);
  while (i < end && bytes[i] !== CLOSE_BRACKET) {
    const stop = skipValue(bytes, i, end);
    visit(i, stop);
    i = skipSpace(bytes, stop, end);
    if (bytes[i] === COMMA) i = skipSpace(bytes, i + 1, end);
  }
}

/** A Status object in JSON, as far as it decides what to do next; unreadable text becomes its own message. */
export function readJsonStatus(text: string): StatusSummary {
  try {
    const parsed: unknown = JSON.parse(text);
    if (typeof parsed === 'object' && parsed !== null) {
      const code = 'code' in parsed && typeof parsed.code === 'number' ? parsed.code : 0;
      const reason = 'reason' in parsed && typeof parsed.reason === 'string' ? parsed.reason : '';
      const message = 'message' in parsed && typeof parsed.message === 'string' ? parsed.message : '';
      return { code, reason, message };
    }
  } catch {
    // Not JSON: some proxy in between answered; its text says more than a parse error.
  }
  return { code: 0, reason: '', message: text.slice(0, 300) };
}
