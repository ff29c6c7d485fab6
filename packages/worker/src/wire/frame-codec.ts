import type { ResourceVersion } from '@shard-controller/shared/kubernetes';
import { type FrameView, INITIAL_EVENTS_END, type WatchEventType, type WireEncoding } from './frame-view.ts';
import { readJsonFrame, readJsonList, readJsonMeta, readJsonStatus } from './json/frame.ts';
import { eachMember, isKey } from './json/members.ts';
import {
  readEnvelope,
  readProtobufFrame,
  readProtobufMeta,
  readProtobufStatus,
  type StatusSummary,
} from './protobuf/frame.ts';
import { ProtobufReader } from './protobuf/reader.ts';
import { block, blockHead, envelope, envelopeHead, openEvent } from './protobuf/writer.ts';

/** Kind of the objects of a feed, as their envelopes name it. */
export interface ObjectKind {
  readonly apiVersion: string;
  readonly kind: string;
}

/** Identity of an object, enough for a deletion. */
export interface ObjectIdentity {
  readonly uid: string;
  readonly namespace: string;
  readonly name: string;
}

/** One page of a list. */
export interface ListPage {
  readonly resourceVersion: ResourceVersion;
  readonly continueToken: string;
  /** Objects beyond this page, when the server counts them. */
  readonly remaining: number | undefined;
}

/** Reads and writes the watch frames and lists of one encoding. */
export interface FrameCodec {
  readonly encoding: WireEncoding;
  readonly watchContentType: string;
  readonly listContentType: string;
  readFrame(bytes: Buffer, start: number, end: number, view: FrameView): void;
  /** Reads a frame that stands alone in its buffer, length prefix or newline included. */
  readWhole(frame: Buffer, view: FrameView): void;
  readStatus(view: FrameView): StatusSummary;
  /** A whole watch event around an object's own bytes (as in `FrameView.objectStart`). */
  event(type: WatchEventType, kind: ObjectKind, object: Uint8Array): Buffer;
  /** A DELETED event whose object holds nothing but its identity. */
  deleted(kind: ObjectKind, identity: ObjectIdentity, resourceVersion: ResourceVersion): Buffer;
  bookmark(kind: ObjectKind, resourceVersion: ResourceVersion, initialEventsEnd: boolean): Buffer;
  /** Calls `item` for each object of a list body. */
  readList(body: Buffer, view: FrameView, item: () => void): ListPage;
  list(kind: ObjectKind, resourceVersion: ResourceVersion, objects: readonly Uint8Array[]): Buffer;
  /** The object in the body of a single GET: metadata in `view`. */
  readObject(body: Buffer, view: FrameView): void;
}

/** By the feed's kind: the same few bytes in every event. */
const heads = new WeakMap<ObjectKind, Buffer>();

export function envelopeHeadOf(kind: ObjectKind): Buffer {
  let head = heads.get(kind);
  if (head === undefined) heads.set(kind, (head = envelopeHead(kind.apiVersion, kind.kind)));
  return head;
}

function protobufEvent(type: WatchEventType, kind: ObjectKind, object: Uint8Array): Buffer {
  const { frame, at } = openEvent(type, envelopeHeadOf(kind), object.length);
  frame.set(object, at);
  return frame;
}

function protobufMeta(identity: ObjectIdentity, resourceVersion: ResourceVersion, annotation?: string): Buffer {
  const fields = [
    block(1, identity.name),
    block(3, identity.namespace),
    block(5, identity.uid),
    block(6, resourceVersion),
  ];
  if (annotation !== undefined) fields.push(block(12, Buffer.concat([block(1, annotation), block(2, 'true')])));
  return block(1, Buffer.concat(fields));
}

const NOBODY: ObjectIdentity = { uid: '', namespace: '', name: '' };
const listReader = new ProtobufReader();

function readProtobufList(body: Buffer, view: FrameView, item: () => void): ListPage {
  const { start, end } = readEnvelope(body, view);
  let resourceVersion = '';
  let continueToken = '';
  let remaining: number | undefined;
  listReader.reset(body, start, end);
  while (listReader.next()) {
    const { field, wireType: type } = listReader;
    if ((field !== 1 && field !== 2) || type !== 2) {
      listReader.skip();
      continue;
    }
    const stop = listReader.block();
    const at = listReader.position;
    if (field === 2) {
      view.clear(body);
      view.objectStart = at;
      view.objectEnd = stop;
      readProtobufMeta(body, at, stop, view);
      item();
      listReader.position = stop;
      continue;
    }
    listReader.end = stop;
    while (listReader.next()) {
      const { field: metaField, wireType } = listReader;
      if (metaField === 4 && wireType === 0) remaining = listReader.varint();
      else if ((metaField === 2 || metaField === 3) && wireType === 2) {
        const to = listReader.block();
        const text = body.toString('latin1', listReader.position, to);
        if (metaField === 2) resourceVersion = text;
        else continueToken = text;
        listReader.position = to;
      } else listReader.skip();
    }
    listReader.end = end;
  }
  return { resourceVersion, continueToken, remaining };
}

export const protobufCodec: FrameCodec = {
  encoding: 'protobuf',
  watchContentType: 'application/vnd.kubernetes.protobuf;stream=watch',
  listContentType: 'application/vnd.kubernetes.protobuf',
  readFrame: readProtobufFrame,
  readWhole: (frame, view) => readProtobufFrame(frame, 4, frame.length, view),
  readStatus: (view) => readProtobufStatus(view.bytes, view.objectStart, view.objectEnd),
  event: protobufEvent,
  deleted: (kind, identity, resourceVersion) => protobufEvent('DELETED', kind, protobufMeta(identity, resourceVersion)),
  bookmark: (kind, resourceVersion, initialEventsEnd) =>
    protobufEvent(
      'BOOKMARK',
      kind,
      protobufMeta(NOBODY, resourceVersion, initialEventsEnd ? INITIAL_EVENTS_END : undefined),
    ),
  readList: readProtobufList,
  list: (kind, resourceVersion, objects) => {
    const parts: Uint8Array[] = [block(1, block(2, resourceVersion))];
    for (const object of objects) parts.push(blockHead(2, object.length), object);
    return envelope(envelopeHead(kind.apiVersion, `${kind.kind}List`), Buffer.concat(parts));
  },
  readObject: (body, view) => {
    const { start, end } = readEnvelope(body, view);
    readProtobufMeta(body, start, end, view);
  },
};

/** The API server leaves kind and apiVersion out of the items of a typed list, but not out of events. */
function withKind({ apiVersion, kind }: ObjectKind, object: Uint8Array): Uint8Array {
  const bytes = Buffer.from(object.buffer, object.byteOffset, object.length);
  let hasKind = false;
  eachMember(bytes, 0, bytes.length, (start, end) => {
    if (isKey(bytes, start, end, 'kind')) hasKind = true;
  });
  if (hasKind) return object;
  const head = JSON.stringify({ kind, apiVersion }).slice(0, -1);
  return Buffer.concat([Buffer.from(`${head},`), object.subarray(1)]);
}

function jsonEvent(type: WatchEventType, object: Uint8Array): Buffer {
  return Buffer.concat([Buffer.from(`{"type":"${type}","object":`), object, Buffer.from('}\n')]);
}

function jsonMetaObject(kind: ObjectKind, metadata: Record<string, unknown>): Buffer {
  return Buffer.from(JSON.stringify({ apiVersion: kind.apiVersion, kind: kind.kind, metadata }));
}

export const jsonCodec: FrameCodec = {
  encoding: 'json',
  watchContentType: 'application/json',
  listContentType: 'application/json',
  readFrame: readJsonFrame,
  readWhole: (frame, view) => readJsonFrame(frame, 0, frame.length, view),
  readStatus: (view) => readJsonStatus(view.bytes.toString('utf8', view.objectStart, view.objectEnd)),
  event: (type, kind, object) => jsonEvent(type, withKind(kind, object)),
  deleted: (kind, identity, resourceVersion) => {
    const namespace = identity.namespace === '' ? {} : { namespace: identity.namespace };
    const metadata = { name: identity.name, ...namespace, uid: identity.uid, resourceVersion };
    return jsonEvent('DELETED', jsonMetaObject(kind, metadata));
  },
  bookmark: (kind, resourceVersion, initialEventsEnd) => {
    const annotations = initialEventsEnd ? { annotations: { [INITIAL_EVENTS_END]: 'true' } } : {};
    return jsonEvent('BOOKMARK', jsonMetaObject(kind, { resourceVersion, creationTimestamp: null, ...annotations }));
  },
  readList: (body, view, item) => {
    const { resourceVersion, continueToken } = readJsonList(body, view, item);
    return { resourceVersion, continueToken, remaining: undefined };
  },
  list: (kind, resourceVersion, objects) => {
    const head = JSON.stringify({
      kind: `${kind.kind}List`,
      apiVersion: kind.apiVersion,
      metadata: { resourceVersion },
    });
    const parts: Uint8Array[] = [Buffer.from(`${head.slice(0, -1)},"items":[`)];
    for (const [i, object] of objects.entries()) {
      if (i > 0) parts.push(Buffer.from(','));
      parts.push(object);
    }
    parts.push(Buffer.from(']}\n'));
    return Buffer.concat(parts);
  },
  readObject: (body, view) => {
    view.clear(body);
    readJsonMeta(body, 0, body.length, view);
  },
};

/** The codec for what the server answered, by its Content-Type. */
export function codecOf(contentType: string): FrameCodec {
  return contentType.includes('protobuf') ? protobufCodec : jsonCodec;
}
