import type { ResourceVersion } from '@shard-controller/shared/kubernetes';
import { decodeString } from './json/reader.ts';

/** How a feed's bytes are written. */
export type WireEncoding = 'protobuf' | 'json';

export type WatchEventType = 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK' | 'ERROR' | 'UNKNOWN';

const EVENT_TYPES: readonly WatchEventType[] = ['ADDED', 'MODIFIED', 'DELETED', 'BOOKMARK', 'ERROR'];

/** The type of a watch event whose text is `bytes[start, end)`; types of the future are `UNKNOWN`. */
export function watchEventType(bytes: Buffer, start: number, end: number): WatchEventType {
  // No string is made of it: this is done for every frame.
  for (const type of EVENT_TYPES) {
    let same = type.length === end - start ? 0 : -1;
    while (same >= 0 && same < type.length) same = bytes[start + same] === type.charCodeAt(same) ? same + 1 : -1;
    if (same > 0) return type;
  }
  return 'UNKNOWN';
}

/**
 * Where the interesting parts of one watch frame or list item lie in its buffer. Reused for every frame, so that the
 * hot path allocates nothing but the strings it keeps. An absent part has start === end.
 */
export class FrameView {
  bytes: Buffer = EMPTY;
  type: WatchEventType = 'UNKNOWN';
  /** The object itself: protobuf without envelope, or its JSON text. */
  objectStart = 0;
  objectEnd = 0;
  /** Its metadata: the fields of the protobuf message, or the JSON object. */
  metadataStart = 0;
  metadataEnd = 0;
  uidStart = 0;
  uidEnd = 0;
  namespaceStart = 0;
  namespaceEnd = 0;
  nameStart = 0;
  nameEnd = 0;
  versionStart = 0;
  versionEnd = 0;
  /** The bookmark that ends the initial events of a WatchList. */
  initialEventsEnd = false;
  /** JSON whose identity has escapes: its bytes are not its text. kube-apiserver needs none but in some names. */
  escaped = false;

  clear(bytes: Buffer): void {
    this.bytes = bytes;
    this.type = 'UNKNOWN';
    this.clearObject();
  }

  clearObject(): void {
    this.objectStart = this.objectEnd = 0;
    this.clearMeta();
  }

  clearMeta(): void {
    this.metadataStart = this.metadataEnd = 0;
    this.uidStart = this.uidEnd = 0;
    this.namespaceStart = this.namespaceEnd = 0;
    this.nameStart = this.nameEnd = 0;
    this.versionStart = this.versionEnd = 0;
    this.initialEventsEnd = false;
    this.escaped = false;
  }

  uid(): string {
    return this.#text(this.uidStart, this.uidEnd);
  }
  namespace(): string {
    return this.#text(this.namespaceStart, this.namespaceEnd);
  }
  name(): string {
    return this.#text(this.nameStart, this.nameEnd);
  }
  resourceVersion(): ResourceVersion {
    return this.#text(this.versionStart, this.versionEnd);
  }

  #text(start: number, end: number): string {
    if (this.escaped) return decodeString(this.bytes, start, end);
    return this.bytes.toString('utf8', start, end);
  }
}

const EMPTY = Buffer.alloc(0);

/** Name of the annotation on the bookmark that closes a WatchList's initial events (KEP-3157). */
export const INITIAL_EVENTS_END = 'k8s.io/initial-events-end';
