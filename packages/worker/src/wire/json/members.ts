import { WireFormatError } from '../protobuf/reader.ts';
import { JsonReader } from './reader.ts';

/** Calls `visit(key start, key end, value start, value end)` for each member of the object at `at`; quotes excluded. */
export function eachMember(
  bytes: Buffer,
  at: number,
  end: number,
  visit: (keyStart: number, keyEnd: number, valueStart: number, valueEnd: number) => void,
): void {
  const reader = new JsonReader();
  reader.reset(bytes, at, end);
  if (!reader.object()) throw new WireFormatError('a JSON object was expected');
  while (reader.member()) {
    const { keyStart, keyEnd, position } = reader;
    reader.skip();
    visit(keyStart, keyEnd, position, reader.position);
  }
}

/** Calls `visit(start, end)` for each element of the array in `bytes[at, end)`; anything else has none. */
export function eachElement(bytes: Buffer, at: number, end: number, visit: (start: number, end: number) => void): void {
  const reader = new JsonReader();
  reader.reset(bytes, at, end);
  if (!reader.array()) return;
  while (reader.element()) {
    const { position } = reader;
    reader.skip();
    visit(position, reader.position);
  }
}

export function isKey(bytes: Buffer, start: number, end: number, key: string): boolean {
  return end - start === key.length && bytes.toString('latin1', start, end) === key;
}
