/**
 * FNV-1a, 64 bit, over raw bytes: the hash of KEP-5866 (`hash/fnv` New64a in Go), so that slot ranges can be pushed
 * into the API server as `shardSelector`. No seed, no salt, no terminator.
 *
 * The inner loop keeps the 64-bit state as four 16-bit limbs in plain numbers: the proxy hashes every watch frame,
 * and BigInt would cost microseconds there.
 */

/** A 64-bit hash as two unsigned 32-bit halves. */
export interface Hash64 {
  readonly high: number;
  readonly low: number;
}

const PRIME_LOW = 0x01b3; // 2^40 + 0x1b3 is the 64-bit FNV prime; its low 16 bits, and 2^40 = 0x100 in the third limb.

/** Hash of `bytes[start, end)`. */
export function fnv1a64Bytes(bytes: Uint8Array, start = 0, end = bytes.length): Hash64 {
  let a = 0x2325; // least significant limb of the offset basis cbf29ce484222325
  let b = 0x8422;
  let c = 0x9ce4;
  let d = 0xcbf2;
  for (let i = start; i < end; i++) {
    a ^= bytes[i] as number;
    // (d c b a) * (0x100 << 32 | 0x1b3) mod 2^64
    const pa = a * PRIME_LOW;
    const pb = b * PRIME_LOW + (pa >>> 16);
    const pc = c * PRIME_LOW + a * 0x100 + (pb >>> 16);
    const pd = d * PRIME_LOW + b * 0x100 + (pc >>> 16);
    a = pa & 0xffff;
    b = pb & 0xffff;
    c = pc & 0xffff;
    d = pd & 0xffff;
  }
  return { high: ((d << 16) | c) >>> 0, low: ((b << 16) | a) >>> 0 };
}

const encoder = new TextEncoder();

/** Hash of the UTF-8 bytes of `text`. */
export function fnv1a64(text: string): Hash64 {
  return fnv1a64Bytes(encoder.encode(text));
}

/** `hash` as one BigInt, for digests (sums mod 2^64) and printing. */
export function hashToBigInt(hash: Hash64): bigint {
  return (BigInt(hash.high) << 32n) | BigInt(hash.low);
}
