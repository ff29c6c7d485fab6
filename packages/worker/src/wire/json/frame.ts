import { type FrameView, INITIAL_EVENTS_END, type WatchEventType, watchEventType } from '../frame-view.ts';
import type { StatusSummary } from '../protobuf/frame.ts';
import { WireFormatError } from '../protobuf/reader.ts';
import { decodeString, JsonReader } from './reader.ts';

/**
 * Finds the parts of JSON text that decide where an object belongs, in one pass and without building the object: custom
 * resources come as JSON, and their bodies must pass untouched (numbers included). Where a key comes twice, the later
 * one counts, as in `JSON.parse`.
 */

const TYPE = Buffer.from('type');
const OBJECT = Buffer.from('object');
const METADATA = Buffer.from('metadata');
const NAME = Buffer.from('name');
const NAMESPACE = Buffer.from('namespace');
const UID = Buffer.from('uid');
const RESOURCE_VERSION = Buffer.from('resourceVersion');
const ANNOTATIONS = Buffer.from('annotations');
const CONTINUE = Buffer.from('continue');
const ITEMS = Buffer.from('items');

const reader = new JsonReader();

/** Reads the newline-delimited watch event in `bytes[start, end)`. Throws WireFormatError. */
export function readJsonFrame(bytes: Buffer, start: number, end: number, view: FrameView): void {
  view.clear(bytes);
  reader.reset(bytes, start, end);
  if (!reader.object()) throw new WireFormatError('a watch event is not a JSON object');
  // The server writes the type first: only then is it known what a bookmark's annotations mean.
  while (reader.member()) {
    if (reader.isKey(TYPE)) view.type = typeHere(bytes);
    else if (reader.isKey(OBJECT)) readObject(bytes, view);
    else reader.skip();
  }
  if (view.objectEnd === 0) throw new WireFormatError('a watch event has no object');
}

/** Reads name, namespace, uid and resourceVersion of the JSON object in `bytes[start, end)` into `view`. */
export function readJsonMeta(bytes: Buffer, start: number, end: number, view: FrameView): void {
  reader.reset(bytes, start, end);
  readObject(bytes, view);
}

function readObject(bytes: Buffer, view: FrameView): void {
  view.clearObject();
  view.objectStart = reader.position;
  if (!reader.object()) throw new WireFormatError('an object is not a JSON object');
  while (reader.member()) {
    if (reader.isKey(METADATA)) readMeta(bytes, view);
    else reader.skip();
  }
  view.objectEnd = reader.position;
}

function readMeta(bytes: Buffer, view: FrameView): void {
  view.clearMeta();
  view.metadataStart = reader.position;
  if (reader.object()) while (reader.member()) readMetaMember(bytes, view);
  view.metadataEnd = reader.position;
}

function readMetaMember(bytes: Buffer, view: FrameView): void {
  const start = reader.position;
  if (reader.isKey(UID)) {
    const isText = skipIdentity(view);
    view.uidStart = isText ? start + 1 : 0;
    view.uidEnd = isText ? reader.position - 1 : 0;
  } else if (reader.isKey(NAME)) {
    const isText = skipIdentity(view);
    view.nameStart = isText ? start + 1 : 0;
    view.nameEnd = isText ? reader.position - 1 : 0;
  } else if (reader.isKey(NAMESPACE)) {
    const isText = skipIdentity(view);
    view.namespaceStart = isText ? start + 1 : 0;
    view.namespaceEnd = isText ? reader.position - 1 : 0;
  } else if (reader.isKey(RESOURCE_VERSION)) {
    const isText = skipIdentity(view);
    view.versionStart = isText ? start + 1 : 0;
    view.versionEnd = isText ? reader.position - 1 : 0;
  } else if (view.type === 'BOOKMARK' && reader.isKey(ANNOTATIONS)) {
    reader.skip();
    view.initialEventsEnd = bytes.toString('utf8', start, reader.position).includes(INITIAL_EVENTS_END);
  } else reader.skip();
}

/** Skips the value here; whether it is a string. */
function skipIdentity(view: FrameView): boolean {
  const isText = reader.skip();
  if (isText && reader.escaped) view.escaped = true;
  return isText;
}

/** The type of a watch event, which is the value here; `UNKNOWN` when it is no string. */
function typeHere(bytes: Buffer): WatchEventType {
  const start = reader.position + 1;
  if (!reader.skip()) return 'UNKNOWN';
  const end = reader.position - 1;
  if (!reader.escaped) return watchEventType(bytes, start, end);
  const text = Buffer.from(decodeString(bytes, start, end));
  return watchEventType(text, 0, text.length);
}

/** Text of the value here; empty when it is no string. */
function textHere(bytes: Buffer): string {
  const start = reader.position + 1;
  if (!reader.skip()) return '';
  const end = reader.position - 1;
  return reader.escaped ? decodeString(bytes, start, end) : bytes.toString('utf8', start, end);
}

/**
 * Calls `item` for each element of `items` in a JSON list, its bounds and metadata in `view`; returns resourceVersion
 * and continue token.
 */
export function readJsonList(
  bytes: Buffer,
  view: FrameView,
  item: () => void,
): { readonly resourceVersion: string; readonly continueToken: string } {
  let resourceVersion = '';
  let continueToken = '';
  reader.reset(bytes, 0, bytes.length);
  if (!reader.object()) throw new WireFormatError('a list is not a JSON object');
  while (reader.member()) {
    if (reader.isKey(METADATA) && reader.object()) {
      while (reader.member()) {
        if (reader.isKey(RESOURCE_VERSION)) resourceVersion = textHere(bytes);
        else if (reader.isKey(CONTINUE)) continueToken = textHere(bytes);
        else reader.skip();
      }
    } else if (reader.isKey(ITEMS) && reader.array()) {
      while (reader.element()) {
        view.clear(bytes);
        readObject(bytes, view);
        const after = reader.position;
        item();
        // The caller may have read other frames meanwhile.
        reader.reset(bytes, after, bytes.length);
      }
    } else reader.skip();
  }
  return { resourceVersion, continueToken };
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
