import { type FrameView, INITIAL_EVENTS_END, watchEventType } from '../frame-view.ts';
import { ProtobufReader, WireFormatError } from './reader.ts';

/**
 * Kubernetes protobuf as kube-apiserver writes it. A watch frame is a bare `WatchEvent{type=1, object=2{raw=1}}` behind
 * four bytes of big-endian length; `raw` and every list body are `k8s\0` and `Unknown{typeMeta=1, raw=2}`
 * (apimachinery: runtime/generated.proto, apis/meta/v1/generated.proto).
 */

const MAGIC = 0x6b387300;
const reader = new ProtobufReader();

/** Reads the watch event in `bytes[start, end)` (without its length prefix). Throws WireFormatError. */
export function readProtobufFrame(bytes: Buffer, start: number, end: number, view: FrameView): void {
  view.clear(bytes);
  reader.reset(bytes, start, end);
  let extensionStart = -1;
  let extensionEnd = -1;
  while (reader.next()) {
    if (reader.field === 1) {
      const stop = reader.block();
      view.type = watchEventType(bytes, reader.position, stop);
      reader.position = stop;
    } else if (reader.field === 2) {
      extensionEnd = reader.block();
      extensionStart = reader.position;
      reader.position = extensionEnd;
    } else reader.skip();
  }
  if (extensionStart < 0) throw new WireFormatError('a watch event has no object');
  reader.reset(bytes, extensionStart, extensionEnd);
  while (reader.next()) {
    if (reader.field !== 1) {
      reader.skip();
      continue;
    }
    const stop = reader.block();
    const at = reader.position;
    openEnvelope(bytes, at, stop, view);
    break;
  }
  if (view.type !== 'ERROR') readProtobufMeta(bytes, view.objectStart, view.objectEnd, view);
}

/** Sets the object's bounds in `view` from an enveloped message. */
function openEnvelope(bytes: Buffer, start: number, end: number, view: FrameView): void {
  if (end - start < 4 || bytes.readUInt32BE(start) !== MAGIC) throw new WireFormatError('the k8s envelope is missing');
  reader.reset(bytes, start + 4, end);
  while (reader.next()) {
    if (reader.field === 2) {
      const stop = reader.block();
      view.objectStart = reader.position;
      view.objectEnd = stop;
      reader.position = stop;
    } else reader.skip();
  }
}

/** Bounds of the message inside an enveloped body. Throws WireFormatError. */
export function readEnvelope(bytes: Buffer, view: FrameView): { readonly start: number; readonly end: number } {
  view.clear(bytes);
  openEnvelope(bytes, 0, bytes.length, view);
  return { start: view.objectStart, end: view.objectEnd };
}

/** Reads name, namespace, uid and resourceVersion of the object in `bytes[start, end)` into `view`. */
export function readProtobufMeta(bytes: Buffer, start: number, end: number, view: FrameView): void {
  reader.reset(bytes, start, end);
  if (!reader.next() || reader.field !== 1) throw new WireFormatError('an object does not start with its metadata');
  const stop = reader.block();
  reader.end = stop;
  view.metadataStart = reader.position;
  view.metadataEnd = stop;
  const wantsAnnotations = view.type === 'BOOKMARK';
  while (reader.next()) {
    const field: number = reader.field;
    // Fields are written in ascending order; nothing beyond resourceVersion matters, except on a bookmark.
    if (field > 6 && !wantsAnnotations) return;
    if (reader.wireType !== 2) {
      reader.skip();
      continue;
    }
    const fieldEnd = reader.block();
    const at = reader.position;
    switch (field) {
      case 1:
        view.nameStart = at;
        view.nameEnd = fieldEnd;
        break;
      case 3:
        view.namespaceStart = at;
        view.namespaceEnd = fieldEnd;
        break;
      case 5:
        view.uidStart = at;
        view.uidEnd = fieldEnd;
        break;
      case 6:
        view.versionStart = at;
        view.versionEnd = fieldEnd;
        break;
      case 12:
        if (bytes.toString('utf8', at, fieldEnd).includes(INITIAL_EVENTS_END)) view.initialEventsEnd = true;
        break;
      default:
    }
    reader.position = fieldEnd;
  }
}

/** A `Status` as far as it decides what to do next. */
export interface StatusSummary {
  readonly code: number;
  readonly reason: string;
  readonly message: string;
}

/** Reads `Status{message=3, reason=4, code=6}` in `bytes[start, end)`. */
export function readProtobufStatus(bytes: Buffer, start: number, end: number): StatusSummary {
  let code = 0;
  let reason = '';
  let message = '';
  reader.reset(bytes, start, end);
  while (reader.next()) {
    if (reader.field === 6 && reader.wireType === 0) code = reader.varint();
    else if ((reader.field === 3 || reader.field === 4) && reader.wireType === 2) {
      const stop = reader.block();
      const text = bytes.toString('utf8', reader.position, stop);
      if (reader.field === 3) message = text;
      else reason = text;
      reader.position = stop;
    } else reader.skip();
  }
  return { code, reason, message };
}
