import { expect, test } from 'vitest';
import { errorEvent, garble, GARBLES, isPlainBookmark, splitFrames, unknownEvent } from './watch-frames.ts';

const failure = { code: 410, reason: 'Expired', message: 'too old' };

for (const encoding of ['protobuf', 'json'] as const) {
  const frames = [errorEvent(encoding, failure), unknownEvent(encoding), errorEvent(encoding, failure)];

  test(`frames of ${encoding} are told apart wherever the bytes end`, () => {
    const bytes = Buffer.concat(frames);
    for (let end = 0; end <= bytes.length; end++) {
      const { frames: whole, rest } = splitFrames(bytes.subarray(0, end), encoding);
      expect(Buffer.concat([...whole, rest])).toEqual(bytes.subarray(0, end));
      expect(whole).toEqual(frames.slice(0, whole.length));
    }
    expect(splitFrames(bytes, encoding)).toEqual({ frames, rest: Buffer.alloc(0) });
  });

  test(`a spoilt frame of ${encoding} is another one`, () => {
    for (const how of GARBLES) {
      if (encoding === 'json' && how === 'length') continue;
      expect(garble(frames[0] as Buffer, encoding, how)).not.toEqual(frames[0]);
    }
  });
}

test('the bookmark that closes initial events is not a plain one', () => {
  const bookmark = (annotations: string): Buffer =>
    Buffer.from(`{"type":"BOOKMARK","object":{"metadata":{${annotations}}}}\n`);
  expect(isPlainBookmark(bookmark(''))).toBe(true);
  expect(isPlainBookmark(bookmark('"annotations":{"k8s.io/initial-events-end":"true"}'))).toBe(false);
  expect(isPlainBookmark(Buffer.from('{"type":"ADDED","object":{"kind":"BOOKMARK-like"}}\n'))).toBe(false);
});
