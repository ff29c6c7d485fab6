import { PassThrough, Readable } from 'node:stream';
import { elapse } from '@shard-controller/shared/testing';
import { describe, expect, test } from 'vitest';
import { codecOf, protobufCodec } from '../wire/frame-codec.ts';
import { readFrames } from '../wire/frame-stream.ts';
import { FrameView } from '../wire/frame-view.ts';
import { jsonFrame, protobufBookmark, protobufFrame, protobufObject } from '../wire/testing/wire.ts';
import { readBody } from './answer-body.ts';

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
  const { body, reading, frames } = watch(() => Promise.resolve(), 1_500);
  const timer = setInterval(() => body.write(protobufBookmark('5')), 50);
  await expect.poll(frames).toBeGreaterThan(40);
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
  await expect(readBody({ status: 200, headers: {}, body }, undefined, 50)).rejects.toMatchObject({
    code: 'SC_STALLED_ANSWER',
  });
  expect(body.destroyed).toBe(true);
});

test('an answer that comes slowly is read to its end', async () => {
  const body = new PassThrough();
  const drip = async (): Promise<void> => {
    for (let i = 0; i < 30; i++) {
      body.write('x');
      await elapse(60);
    }
    body.end();
  };
  void drip();
  expect((await readBody({ status: 200, headers: {}, body }, undefined, 1_500)).length).toBe(30);
});

const object = (uid: string): { uid: string; name: string; version: string } => ({ uid, name: uid, version: '7' });
const protobuf = ['a', 'b', 'c'].map((uid) => protobufFrame('ADDED', protobufObject({ ...object(uid), ballast: 40 })));
const json = ['a', 'b', 'c'].map((uid) => jsonFrame('ADDED', object(uid)));

/** Reads chunks to their end; what was read before it failed, and how it failed. */
async function read(type: string, ...chunks: readonly Buffer[]): Promise<{ uids: string[]; code: unknown }> {
  const view = new FrameView();
  const uids: string[] = [];
  const reading = readFrames({
    response: { status: 200, headers: {}, body: Readable.from(chunks) },
    codec: codecOf(type),
    view,
    frame: () => uids.push(view.uid()) > 0,
    chunk: () => Promise.resolve(),
  });
  const code = await reading.then(
    () => undefined,
    (error: unknown) => Reflect.get(Object(error), 'code'),
  );
  return { uids, code };
}

describe('a stream that has lost bytes', () => {
  test.each(Array.from({ length: 12 }, (_, i) => i + 1))('%i of them at the end of a protobuf event', async (lost) => {
    const [first = Buffer.alloc(0), second = Buffer.alloc(0), third = Buffer.alloc(0)] = protobuf;
    const { uids, code } = await read('application/vnd.kubernetes.protobuf', first.subarray(0, -lost), second, third);
    expect(code).toBe('SC_WIRE_FORMAT');
    // The last byte is the same as the first one of the next prefix: that event is whole. The next one never is.
    expect(uids).toEqual(lost === 1 ? ['a'] : []);
  });

  test.each([1, 2, 3, 10])('%i of them at the end of a JSON event', async (lost) => {
    const [first = Buffer.alloc(0), second = Buffer.alloc(0), third = Buffer.alloc(0)] = json;
    const { uids, code } = await read('application/json', first.subarray(0, -lost), second, third);
    expect(code).toBe('SC_WIRE_FORMAT');
    expect(uids).toEqual([]);
  });
});

test.each([
  ['application/vnd.kubernetes.protobuf', protobuf],
  ['application/json', json],
] as const)('a stream of %s that ends in order within an event says so, after the whole ones', async (type, frames) => {
  const [first = Buffer.alloc(0), second = Buffer.alloc(0)] = frames;
  expect(await read(type, first, second.subarray(0, 20))).toEqual({ uids: ['a'], code: 'SC_TRUNCATED_WATCH' });
  expect(await read(type, first, second)).toEqual({ uids: ['a', 'b'], code: undefined });
});

test('a stream whose first bytes are no event is not waited for', async () => {
  const page = Buffer.from('\0\0<html><body>Bad gateway</body></html>');
  expect((await read('application/vnd.kubernetes.protobuf', page)).code).toBe('SC_WIRE_FORMAT');
});
