import { PassThrough } from 'node:stream';
import { expect, test } from 'vitest';
import { readBody } from './collection-reader.ts';
import { protobufCodec } from './frame-codec.ts';
import { readFrames } from './frame-stream.ts';
import { FrameView } from './frame-view.ts';
import { protobufBookmark } from './testing/wire.ts';

function watch(chunk: () => Promise<void>, silenceMs: number) {
  const body = new PassThrough();
  let frames = 0;
  const reading = readFrames({
    response: { status: 200, headers: {}, body },
    codec: protobufCodec,
    view: new FrameView(),
    frame: () => {
      frames++;
      return true;
    },
    chunk,
    silenceMs,
  });
  return { body, reading, frames: () => frames };
}

test('a watch that says nothing for its time is ended as silent', async () => {
  const { reading } = watch(() => Promise.resolve(), 50);
  await expect(reading).rejects.toMatchObject({ code: 'SC_SILENT_WATCH' });
});

test('a bookmark now and then is enough to keep it', async () => {
  const { body, reading, frames } = watch(() => Promise.resolve(), 300);
  const timer = setInterval(() => body.write(protobufBookmark('5')), 20);
  await expect.poll(frames, { timeout: 5_000 }).toBeGreaterThan(40);
  clearInterval(timer);
  body.end();
  await reading;
});

test('time spent waiting for the exporter is not silence', async () => {
  const taken = Promise.withResolvers<void>();
  const { body, reading } = watch(() => taken.promise, 30);
  body.write(protobufBookmark('5'));
  setTimeout(() => {
    taken.resolve();
    body.end();
  }, 200);
  await expect(reading).resolves.toBeUndefined();
});

test('an answer that stops in its middle is given up', async () => {
  const body = new PassThrough();
  body.write('half of ');
  await expect(readBody({ status: 200, headers: {}, body }, 50)).rejects.toMatchObject({ code: 'SC_STUCK_ANSWER' });
  expect(body.destroyed).toBe(true);
});

test('an answer that comes slowly is read to its end', async () => {
  const body = new PassThrough();
  const drip = async (): Promise<void> => {
    for (let i = 0; i < 30; i++) {
      body.write('x');
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    body.end();
  };
  void drip();
  expect((await readBody({ status: 200, headers: {}, body }, 200)).length).toBe(30);
});
