/**
 * The wire form of watch events, written down here a second time on purpose: what the front does to a stream must not
 * depend on the code that is under test.
 */

export type Encoding = 'protobuf' | 'json';

const NEWLINE = 0x0a;

/** The whole frames (length prefix or newline included) at the start of `bytes`, and what is left. */
export function splitFrames(bytes: Buffer, encoding: Encoding): { frames: Buffer[]; rest: Buffer } {
  const frames: Buffer[] = [];
  let at = 0;
  for (;;) {
    const end = encoding === 'protobuf' ? endByLength(bytes, at) : bytes.indexOf(NEWLINE, at) + 1;
    if (end <= at || end > bytes.length) return { frames, rest: bytes.subarray(at) };
    frames.push(bytes.subarray(at, end));
    at = end;
  }
}

function endByLength(bytes: Buffer, at: number): number {
  return bytes.length - at < 4 ? 0 : at + 4 + bytes.readUInt32BE(at);
}

/** `BOOKMARK`s except the one that closes the initial events, which no server leaves out. */
export function isPlainBookmark(frame: Buffer): boolean {
  return frame.subarray(0, 40).includes('BOOKMARK') && !frame.includes('initial-events-end');
}

function field(number: number, content: Buffer | string): Buffer {
  const bytes = typeof content === 'string' ? Buffer.from(content) : content;
  return Buffer.concat([Buffer.from([number * 8 + 2]), varint(bytes.length), bytes]);
}

function varint(value: number): Buffer {
  const bytes: number[] = [];
  let rest = value;
  for (; rest >= 0x80; rest = Math.floor(rest / 128)) bytes.push((rest % 128) | 0x80);
  return Buffer.from([...bytes, rest]);
}

/** One watch event of any type around protobuf or JSON bytes of an object. */
function event(encoding: Encoding, type: string, object: Buffer): Buffer {
  if (encoding === 'json') {
    return Buffer.concat([Buffer.from(`{"type":"${type}","object":`), object, Buffer.from('}\n')]);
  }
  const body = Buffer.concat([field(1, type), field(2, field(1, object))]);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(body.length);
  return Buffer.concat([length, body]);
}

export interface Failure {
  readonly code: number;
  readonly reason: string;
  readonly message: string;
}

export function statusBody({ code, reason, message }: Failure): string {
  return JSON.stringify({ kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Failure', message, reason, code });
}

/** An ERROR event as kube-apiserver writes it into a stream. */
export function errorEvent(encoding: Encoding, failure: Failure): Buffer {
  if (encoding === 'json') return event('json', 'ERROR', Buffer.from(statusBody(failure)));
  const status = Buffer.concat([
    field(1, ''),
    field(2, 'Failure'),
    field(3, failure.message),
    field(4, failure.reason),
    Buffer.concat([Buffer.from([6 * 8]), varint(failure.code)]),
  ]);
  return event('protobuf', 'ERROR', envelope('Status', status));
}

/** An event of a type that no client knows. */
export function unknownEvent(encoding: Encoding): Buffer {
  if (encoding === 'json') return event('json', 'RENAMED', Buffer.from('{"kind":"Status","apiVersion":"v1"}'));
  return event('protobuf', 'RENAMED', envelope('Status', field(2, 'Success')));
}

function envelope(kind: string, message: Buffer): Buffer {
  const typeMeta = Buffer.concat([field(1, 'v1'), field(2, kind)]);
  return Buffer.concat([Buffer.from('k8s\0'), field(1, typeMeta), field(2, message), field(3, ''), field(4, '')]);
}

/** How a frame is spoilt: so that a reader of the wire form can see it. TLS rules out anything subtler. */
export const GARBLES = ['length', 'payload', 'cut'] as const;

/** `frame` in a form that is no longer an event. */
export function garble(frame: Buffer, encoding: Encoding, how: (typeof GARBLES)[number]): Buffer {
  const spoilt = Buffer.from(frame);
  const head = encoding === 'protobuf' ? 4 : 0;
  if (how === 'length' && encoding === 'protobuf') spoilt.writeUInt32BE(0xfffffff0);
  else if (how === 'payload') spoilt.fill(0xff, head, spoilt.length - (encoding === 'json' ? 1 : 0));
  else {
    const kept = spoilt.subarray(head, head + Math.floor((spoilt.length - head) / 2));
    if (encoding === 'json') return Buffer.concat([kept, Buffer.from('\n')]);
    const length = Buffer.alloc(4);
    length.writeUInt32BE(kept.length);
    return Buffer.concat([length, kept]);
  }
  return spoilt;
}
