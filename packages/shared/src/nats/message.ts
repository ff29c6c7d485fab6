import type { z } from 'zod';
import { MessageTooLargeError } from './errors.ts';

/** Largest message, bytes of JSON: what every part of the system may rely on. */
export const MAX_MESSAGE_BYTES = 64 * 1024 - 1;

/** Outcome of reading a message that anybody may have sent: the value, or one sentence on what is wrong with it. */
export type Parsed<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly problem: string };

const encoder = new TextEncoder();
const decoder = new TextDecoder('utf-8', { fatal: true });

/** Whether `body` can be sent as one message. */
export function fitsMessage(body: unknown): boolean {
  return Buffer.byteLength(JSON.stringify(body)) <= MAX_MESSAGE_BYTES;
}

/** JSON as bytes. @throws MessageTooLargeError beyond `limit` bytes. */
export function encodeMessage(subject: string, body: unknown, limit: number = MAX_MESSAGE_BYTES): Uint8Array {
  const bytes = encoder.encode(JSON.stringify(body));
  if (bytes.byteLength > limit) throw new MessageTooLargeError(subject, bytes.byteLength, limit);
  return bytes;
}

/** Never throws: bytes that are no UTF-8, no JSON, too large or of another shape come back as a problem. */
export function parseMessage<T>(schema: z.ZodType<T>, data: Uint8Array): Parsed<T> {
  if (data.byteLength > MAX_MESSAGE_BYTES)
    return { ok: false, problem: `message of ${data.byteLength} bytes is too large` };
  let raw: unknown;
  try {
    raw = JSON.parse(decoder.decode(data));
  } catch {
    return { ok: false, problem: `message of ${data.byteLength} bytes is not JSON` };
  }
  const result = schema.safeParse(raw);
  if (result.success) return { ok: true, value: result.data };
  const [first, ...rest] = result.error.issues;
  const where = first === undefined || first.path.length === 0 ? 'message' : first.path.map(String).join('.');
  const more = rest.length > 0 ? ` (and ${rest.length} more)` : '';
  return { ok: false, problem: `${where}: ${first?.message ?? 'invalid'}${more}` };
}
