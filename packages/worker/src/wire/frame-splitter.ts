import type { WireEncoding } from './frame-view.ts';
import { WireFormatError } from './protobuf/reader.ts';

/** client-go refuses frames past 16 MiB; the API server's objects are far smaller. Bytes. */
const MAX_FRAME = 64 * 1024 * 1024;
const NEWLINE = 0x0a;
/** Big-endian length before each protobuf frame. Bytes. */
const PREFIX = 4;
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

/**
 * Cuts a watch stream into frames, wherever its chunks happen to end. Frames are read where they lie in their chunk;
 * only one that two chunks share is copied together.
 */
export class FrameSplitter {
  readonly #encoding: WireEncoding;
  /** Beginning of a frame that the chunks so far did not end. */
  #rest: Buffer[] = [];
  #restBytes = 0;

  constructor(encoding: WireEncoding) {
    this.#encoding = encoding;
  }

  /** Whether a frame has begun and not ended. */
  get begun(): boolean {
    return this.#restBytes > 0;
  }

  push(chunk: Buffer, handle: FrameHandler): void {
    const isLength = this.#encoding === 'protobuf';
    let at = 0;
    if (this.#restBytes > 0) at = isLength ? this.#endByLength(chunk, handle) : this.#endByNewline(chunk, handle);
    at = isLength ? cutByLength(chunk, at, handle) : cutByNewline(chunk, at, handle);
    if (at < chunk.length) this.#keep(chunk.subarray(at));
  }

  #keep(part: Buffer): void {
    this.#rest.push(part);
    this.#restBytes += part.length;
    if (this.#restBytes > MAX_FRAME + PREFIX) throw new WireFormatError(`a frame is longer than ${MAX_FRAME} bytes`);
  }

  /** All that was kept, and nothing is kept from now on. */
  #take(): Buffer {
    const bytes = Buffer.concat(this.#rest, this.#restBytes);
    this.#rest = [];
    this.#restBytes = 0;
    return bytes;
  }

  /** Ends the begun frame if `chunk` does; returns where in `chunk` to continue. */
  #endByLength(chunk: Buffer, handle: FrameHandler): number {
    let at = 0;
    if (this.#restBytes < PREFIX) {
      at = Math.min(PREFIX - this.#restBytes, chunk.length);
      this.#keep(chunk.subarray(0, at));
      if (this.#restBytes < PREFIX) return at;
      this.#keep(this.#take());
    }
    const missing = PREFIX + lengthAt(this.#rest[0] as Buffer, 0) - this.#restBytes;
    if (missing > chunk.length - at) {
      this.#keep(chunk.subarray(at));
      return chunk.length;
    }
    this.#keep(chunk.subarray(at, at + missing));
    const frame = this.#take();
    handle(frame, 0, frame.length, PREFIX, frame.length);
    return at + missing;
  }

  #endByNewline(chunk: Buffer, handle: FrameHandler): number {
    const newline = chunk.indexOf(NEWLINE);
    if (newline < 0) {
      this.#keep(chunk);
      return chunk.length;
    }
    this.#keep(chunk.subarray(0, newline + 1));
    const frame = this.#take();
    handle(frame, 0, frame.length, 0, frame.length - 1);
    return newline + 1;
  }
}

/** Hands over the whole frames from `from` on; returns where the first begins that is not whole. */
function cutByLength(chunk: Buffer, from: number, handle: FrameHandler): number {
  let at = from;
  while (chunk.length - at >= PREFIX) {
    const end = at + PREFIX + lengthAt(chunk, at);
    if (end > chunk.length) break;
    handle(chunk, at, end, at + PREFIX, end);
    at = end;
  }
  return at;
}

function cutByNewline(chunk: Buffer, from: number, handle: FrameHandler): number {
  let at = from;
  for (;;) {
    const newline = chunk.indexOf(NEWLINE, at);
    if (newline < 0) return at;
    if (newline > at) handle(chunk, at, newline + 1, at, newline);
    at = newline + 1;
  }
}

function lengthAt(bytes: Buffer, at: number): number {
  const length = bytes.readUInt32BE(at);
  if (length > MAX_FRAME) throw new WireFormatError(`a frame claims ${length} bytes`);
  // Without this a reader that is out of step would wait for as many bytes as some other field happens to say.
  if (bytes.length > at + PREFIX && bytes[at + PREFIX] !== TYPE_TAG) {
    throw new WireFormatError('a frame does not begin with its type');
  }
  return length;
}
