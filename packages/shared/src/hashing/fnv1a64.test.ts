import fc from 'fast-check';
import { expect, test } from 'vitest';
import { fnv1a64, fnv1a64Bytes, hashToBigInt } from './fnv1a64.ts';

const hex = (text: string): string => hashToBigInt(fnv1a64(text)).toString(16).padStart(16, '0');

test('the golden values of hash/fnv hold', () => {
  expect(hex('')).toBe('cbf29ce484222325');
  expect(hex('a')).toBe('af63dc4c8601ec8c');
  expect(hex('ab')).toBe('089c4407b545986a');
  expect(hex('abc')).toBe('e71fa2190541574b');
});

test('any bytes hash as in a BigInt model of the definition', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
      let model = 0xcbf29ce484222325n;
      for (const byte of bytes) model = BigInt.asUintN(64, (model ^ BigInt(byte)) * 0x100000001b3n);
      expect(hashToBigInt(fnv1a64Bytes(bytes))).toBe(model);
    }),
  );
});

test('a part of a buffer hashes like a copy of that part', () => {
  const bytes = new TextEncoder().encode('xx3d8f8a3e-0000yy');
  expect(fnv1a64Bytes(bytes, 2, bytes.length - 2)).toEqual(fnv1a64('3d8f8a3e-0000'));
});
