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
import { CutList } from './cut-list.ts';
import { cutJson } from './diet-json.ts';
import { cutProtobuf } from './diet-protobuf.ts';
import type { DietRules } from './diet-rules.ts';

const cuts = new CutList();
/** Tag of an object's metadata: field 1, length-delimited. */
const METADATA_TAG = 0x0a;
const JSON_TAIL = '}\n';

/**
 * Leaves out of the objects of one feed what its exporter never reads, in the wire bytes. What stays is unchanged byte
 * for byte; an object that has nothing to leave out is not touched at all.
 */
export class Diet {
  /** Bytes left out since someone reset it. */
  cutBytes = 0;
  readonly #rules: DietRules;
  readonly #head: Buffer;
  readonly #encoding: WireEncoding;

  constructor(rules: DietRules, kind: ObjectKind, encoding: WireEncoding) {
    this.#rules = rules;
    this.#head = envelopeHeadOf(kind);
    this.#encoding = encoding;
  }

  /** A whole watch event with the leaner object of `view`; undefined when nothing is left out. */
  event(type: WatchEventType, view: FrameView): Buffer | undefined {
    return this.#lean(view, type);
  }

  /** The object alone, for a list; undefined when nothing is left out. */
  object(view: FrameView): Buffer | undefined {
    return this.#lean(view);
  }

  #lean(view: FrameView, type?: WatchEventType): Buffer | undefined {
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
    const ofMetadata = cutProtobuf(view, this.#rules, cuts);
    if (cuts.bytes === 0) return undefined;
    this.cutBytes += cuts.bytes;
    const metadata = metadataEnd - metadataStart - ofMetadata;
    const length = 1 + varintSize(metadata) + (objectEnd - metadataStart - cuts.bytes);
    const { frame, at } =
      type === undefined ? { frame: Buffer.allocUnsafe(length), at: 0 } : openEvent(type, this.#head, length);
    frame[at] = METADATA_TAG;
    cuts.copyRest(bytes, metadataStart, objectEnd, frame, putVarint(frame, at + 1, metadata));
    return frame;
  }

  #json(view: FrameView, type?: WatchEventType): Buffer | undefined {
    const { bytes, objectStart, objectEnd } = view;
    cutJson(view, this.#rules, cuts);
    if (cuts.bytes === 0) return undefined;
    this.cutBytes += cuts.bytes;
    const head = type === undefined ? '' : `{"type":"${type}","object":`;
    const tail = type === undefined ? '' : JSON_TAIL;
    const out = Buffer.allocUnsafe(head.length + (objectEnd - objectStart - cuts.bytes) + tail.length);
    out.write(head, 0, 'latin1');
    out.write(tail, cuts.copyRest(bytes, objectStart, objectEnd, out, head.length), 'latin1');
    return out;
  }
}
