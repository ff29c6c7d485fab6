import type { WireEncoding } from './frame-view.ts';
import { WireFormatError } from './protobuf-reader.ts';

/** client-go refuses frames past 16 MiB; the API server's objects are far smaller. Bytes. */
const MAX_FRAME = 64 * 1024 * 1024;
const NEWLINE = 0x0a;
/** Tag of field 1, length-delimited: each WatchEvent begins with its type. */
const TYPE_TAG = 0x0a;

/**
 * Called with each whole frame: `bytes[start, end)` is the frame as it goes over the wire (with length prefix or
 * newline), `bytes[payloadStart, payloadEnd)` the event in it. Valid during the call only.
 */
export type FrameHandler = (
  bytes: Buffer,
  start: number,
  end: number,
  payloadStart: number,
  payloadEnd: number,
) => void;

/** Cuts a watch stream into frames, wherever its chunks happen to end. */
export class FrameSplitter {
  readonly #encoding: WireEncoding;
  #rest: Buffer[] = [];
  #restBytes = 0;
  /** Bytes that the frame begun in `#rest` needs at least. */
  #needed = 0;

  constructor(encoding: WireEncoding) {
    this.#encoding = encoding;
  }

  /** Whether a frame has begun and not ended. */
  get begun(): boolean {
    return this.#restBytes > 0;
  }

  push(chunk: Buffer, handle: FrameHandler): void {
    let bytes = chunk;
    if (this.#restBytes > 0) {
      this.#rest.push(chunk);
      this.#restBytes += chunk.length;
      if (this.#encoding === 'protobuf' ? this.#restBytes < this.#needed : !chunk.includes(NEWLINE)) {
        if (this.#restBytes > MAX_FRAME) throw new WireFormatError(`a frame is longer than ${MAX_FRAME} bytes`);
        return;
      }
      bytes = Buffer.concat(this.#rest, this.#restBytes);
    }
    const used = this.#encoding === 'protobuf' ? this.#cutByLength(bytes, handle) : cutByNewline(bytes, handle);
    this.#rest = used < bytes.length ? [bytes.subarray(used)] : [];
    this.#restBytes = bytes.length - used;
  }

  #cutByLength(bytes: Buffer, handle: FrameHandler): number {
    let at = 0;
    for (;;) {
      const left = bytes.length - at;
      if (left < 4) {
        this.#needed = 4;
        return at;
      }
      const length = bytes.readUInt32BE(at);
      if (length > MAX_FRAME) throw new WireFormatError(`a frame claims ${length} bytes`);
      // Without this a reader that is out of step would wait for as many bytes as some other field happens to say.
      if (left > 4 && bytes[at + 4] !== TYPE_TAG) throw new WireFormatError('a frame does not begin with its type');
      if (left < 4 + length) {
        this.#needed = 4 + length;
        return at;
      }
      handle(bytes, at, at + 4 + length, at + 4, at + 4 + length);
      at += 4 + length;
    }
  }
}

function cutByNewline(bytes: Buffer, handle: FrameHandler): number {
  let at = 0;
  for (;;) {
    const newline = bytes.indexOf(NEWLINE, at);
    if (newline < 0) return at;
    if (newline > at) handle(bytes, at, newline + 1, at, newline);
    at = newline + 1;
  }
}
