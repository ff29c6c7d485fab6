/** Messages as bytes. Small ones are joined from parts; a watch event is laid out once around its object. */

/** Bytes that `value` takes as a varint. */
export function varintSize(value: number): number {
  let size = 1;
  for (let rest = value; rest >= 0x80; rest = Math.floor(rest / 128)) size++;
  return size;
}

/** Writes `value` as a varint; returns where it ends. */
export function putVarint(out: Uint8Array, at: number, value: number): number {
  let rest = value;
  let to = at;
  for (; rest >= 0x80; rest = Math.floor(rest / 128)) out[to++] = (rest % 128) | 0x80;
  out[to++] = rest;
  return to;
}

/** A length-delimited field: a string, bytes, or an embedded message. */
export function block(field: number, content: Uint8Array | string): Buffer {
  const bytes = typeof content === 'string' ? Buffer.from(content, 'utf8') : content;
  return Buffer.concat([blockHead(field, bytes.length), bytes]);
}

/** Tag and length of a length-delimited field whose content follows. */
export function blockHead(field: number, length: number): Buffer {
  const tag = field * 8 + 2;
  const head = Buffer.allocUnsafe(varintSize(tag) + varintSize(length));
  putVarint(head, putVarint(head, 0, tag), length);
  return head;
}

const MAGIC = Buffer.from([0x6b, 0x38, 0x73, 0x00]);
/** `contentEncoding` and `contentType` of the envelope: always written, always empty. */
const ENVELOPE_TAIL = Buffer.from([0x1a, 0x00, 0x22, 0x00]);

/** What stands before the message in an envelope: `k8s\0` and its type (apimachinery: runtime.Unknown). */
export function envelopeHead(apiVersion: string, kind: string): Buffer {
  return Buffer.concat([MAGIC, block(1, Buffer.concat([block(1, apiVersion), block(2, kind)]))]);
}

/** An enveloped message, as bodies of lists and objects are. */
export function envelope(head: Uint8Array, message: Uint8Array): Buffer {
  return Buffer.concat([head, blockHead(2, message.length), message, ENVELOPE_TAIL]);
}

/** A whole watch frame in which the object is still to be written, at `at`. */
export interface OpenEvent {
  readonly frame: Buffer;
  readonly at: number;
}

/** Lays out length prefix, `WatchEvent{type=1, object=2{raw=1}}` and envelope around an object of `length` bytes. */
export function openEvent(type: string, head: Buffer, length: number): OpenEvent {
  const raw = head.length + 1 + varintSize(length) + length + ENVELOPE_TAIL.length;
  const extension = 1 + varintSize(raw) + raw;
  const event = 2 + type.length + 1 + varintSize(extension) + extension;
  const frame = Buffer.allocUnsafe(4 + event);
  let at = frame.writeUInt32BE(event, 0);
  frame[at++] = 0x0a;
  frame[at++] = type.length;
  at += frame.write(type, at, 'latin1');
  frame[at++] = 0x12;
  at = putVarint(frame, at, extension);
  frame[at++] = 0x0a;
  at = putVarint(frame, at, raw);
  at += head.copy(frame, at);
  frame[at++] = 0x12;
  at = putVarint(frame, at, length);
  ENVELOPE_TAIL.copy(frame, at + length);
  return { frame, at };
}
