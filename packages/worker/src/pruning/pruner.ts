import {
  envelopeHeadOf,
  type FrameView,
  type ObjectKind,
  openEvent,
  putVarint,
  varintSize,
  type WatchEventType,
  type WireEncoding,
  WireFormatError,
} from '../wire/index.ts';
import { PrunedParts } from './pruned-parts.ts';
import { pruneJson } from './json-pruning.ts';
import { pruneProtobuf } from './protobuf-pruning.ts';
import type { PruningRules } from './pruning-rules.ts';

const parts = new PrunedParts();
/** Tag of an object's metadata: field 1, length-delimited. */
const METADATA_TAG = 0x0a;
const JSON_TAIL = '}\n';

/**
 * Leaves out of the objects of one feed what its exporter never reads, in the wire bytes. What stays is unchanged byte
 * for byte; an object that has nothing to leave out is not touched at all.
 */
export class Pruner {
  /** Bytes left out since someone reset it. */
  prunedBytes = 0;
  readonly #rules: PruningRules;
  readonly #head: Buffer;
  readonly #encoding: WireEncoding;

  constructor(rules: PruningRules, kind: ObjectKind, encoding: WireEncoding) {
    this.#rules = rules;
    this.#head = envelopeHeadOf(kind);
    this.#encoding = encoding;
  }

  /** A whole watch event with the leaner object of `view`; undefined when nothing is left out. */
  event(type: WatchEventType, view: FrameView): Buffer | undefined {
    return this.#prune(view, type);
  }

  /** The object alone, for a list; undefined when nothing is left out. */
  object(view: FrameView): Buffer | undefined {
    return this.#prune(view);
  }

  #prune(view: FrameView, type?: WatchEventType): Buffer | undefined {
    try {
      return this.#encoding === 'protobuf' ? this.#protobuf(view, type) : this.#json(view, type);
    } catch (error) {
      // Unreadable behind its identity: the exporter gets it as it came, and judges for itself.
      if (error instanceof WireFormatError) return undefined;
      throw error;
    }
  }

  #protobuf(view: FrameView, type?: WatchEventType): Buffer | undefined {
    const { bytes, metadataStart, metadataEnd, objectEnd } = view;
    const ofMetadata = pruneProtobuf(view, this.#rules, parts);
    if (parts.bytes === 0) return undefined;
    this.prunedBytes += parts.bytes;
    const metadata = metadataEnd - metadataStart - ofMetadata;
    const length = 1 + varintSize(metadata) + (objectEnd - metadataStart - parts.bytes);
    const { frame, at } =
      type === undefined ? { frame: Buffer.allocUnsafe(length), at: 0 } : openEvent(type, this.#head, length);
    frame[at] = METADATA_TAG;
    parts.copyRest(bytes, metadataStart, objectEnd, frame, putVarint(frame, at + 1, metadata));
    return frame;
  }

  #json(view: FrameView, type?: WatchEventType): Buffer | undefined {
    const { bytes, objectStart, objectEnd } = view;
    pruneJson(view, this.#rules, parts);
    if (parts.bytes === 0) return undefined;
    this.prunedBytes += parts.bytes;
    const head = type === undefined ? '' : `{"type":"${type}","object":`;
    const tail = type === undefined ? '' : JSON_TAIL;
    const out = Buffer.allocUnsafe(head.length + (objectEnd - objectStart - parts.bytes) + tail.length);
    out.write(head, 0, 'latin1');
    out.write(tail, parts.copyRest(bytes, objectStart, objectEnd, out, head.length), 'latin1');
    return out;
  }
}
