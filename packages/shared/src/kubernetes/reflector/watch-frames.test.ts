import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type WatchFrame, WatchFrameError, watchFrames } from './watch-frames.ts';

async function read(chunks: readonly Uint8Array[], max?: number): Promise<readonly WatchFrame[]> {
  const body = (async function* () {
    yield* chunks;
  })();
  const frames: WatchFrame[] = [];
  for await (const frame of watchFrames(body, max)) frames.push(frame);
  return frames;
}

describe('watchFrames', () => {
  it('finds the events again, wherever the bytes are cut', async () => {
    const frame = fc.record({ type: fc.string(), object: fc.dictionary(fc.string(), fc.string({ unit: 'grapheme' })) });
    const property = fc.asyncProperty(fc.array(frame), fc.array(fc.nat()), async (frames, cuts) => {
      const bytes = Buffer.from(frames.map((one) => `${JSON.stringify(one)}\n`).join(''));
      const places = [...new Set(cuts.map((cut) => cut % (bytes.length + 1)))].sort((a, b) => a - b);
      const chunks = [...places, bytes.length].map((end, index) =>
        bytes.subarray(index === 0 ? 0 : places[index - 1], end),
      );
      expect(JSON.stringify(await read(chunks))).toBe(JSON.stringify(frames));
    });
    await fc.assert(property);
  });

  it('refuses an event longer than the bound before it fills the memory', async () => {
    await expect(read([Buffer.alloc(60, 'x'), Buffer.alloc(60, 'x')], 100)).rejects.toMatchObject({
      fault: 'oversized',
    });
  });

  it('says that an event was cut off', async () => {
    await expect(read([Buffer.from('{"type":')])).rejects.toThrow(WatchFrameError);
  });
});
