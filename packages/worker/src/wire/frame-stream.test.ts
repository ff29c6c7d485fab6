import { PassThrough } from 'node:stream';
import { setImmediate as turn } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { protobufCodec } from './frame-codec.ts';
import { readFrames } from './frame-stream.ts';
import { FrameView } from './frame-view.ts';
import { protobufFrame, protobufObject } from './testing/wire.ts';

const frameOf = (uid: string, ballast = 0): Buffer =>
  protobufFrame('ADDED', protobufObject({ uid, name: uid, version: '1', ballast }));

interface Rig {
  readonly body: PassThrough;
  readonly seen: string[];
  /** Frames that had come at each call of `chunk`. */
  readonly chunks: number[];
  readonly done: Promise<void>;
}

function read(chunk: () => Promise<void> | undefined = () => undefined, until?: string, silenceMs?: number): Rig {
  const body = new PassThrough({ highWaterMark: 64 * 1024 });
  const view = new FrameView();
  const seen: string[] = [];
  const chunks: number[] = [];
  const done = readFrames({
    response: { status: 200, headers: {}, body },
    codec: protobufCodec,
    view,
    frame: () => {
      if (view.uid() === 'bad') throw new Error('refused');
      seen.push(view.uid());
      return view.uid() !== until;
    },
    chunk: () => {
      chunks.push(seen.length);
      return chunk();
    },
    ...(silenceMs === undefined ? {} : { silenceMs }),
  });
  done.catch(() => undefined);
  return { body, seen, chunks, done };
}

async function until(is: () => boolean): Promise<void> {
  while (!is()) await turn();
}

describe('reading a watch', () => {
  it('passes frames that come together on as one', async () => {
    const { body, seen, chunks, done } = read();
    for (let i = 0; i < 50; i++) body.write(frameOf(`u${i}`));
    body.end();
    await done;
    expect(seen.length).toBe(50);
    expect(chunks.length).toBeLessThan(5);
    expect(chunks.at(-1)).toBe(50);
  });

  it('passes a frame on although nothing follows', async () => {
    const { body, chunks } = read();
    body.write(frameOf('u'));
    await until(() => chunks.length > 0);
    expect(chunks).toEqual([1]);
    body.destroy();
  });

  it('does not wait for the turn to end when much comes in it', async () => {
    const { body, chunks, done } = read();
    // In one turn: the data event of a stream is said at once.
    for (let i = 0; i < 20; i++) body.emit('data', frameOf(`u${i}`, 100_000));
    expect(chunks).toEqual([3, 6, 9, 12, 15, 18]);
    body.end();
    await done;
    expect(chunks.at(-1)).toBe(20);
  });

  it('reads nothing while its reader has no room, and everything afterwards', async () => {
    const room = Promise.withResolvers<void>();
    let first = true;
    const { body, seen, chunks, done } = read(() => {
      const wait = first ? room.promise : undefined;
      first = false;
      return wait;
    });
    body.write(frameOf('u0'));
    await until(() => chunks.length === 1);
    for (let i = 1; i < 300; i++) body.write(frameOf(`u${i}`, 1_000));
    body.end();
    for (let i = 0; i < 20; i++) await turn();
    expect(seen.length).toBe(1);
    room.resolve();
    await done;
    expect(seen.length).toBe(300);
  });

  it('ends when its reader wants no more, without what follows', async () => {
    const { body, seen, chunks, done } = read(undefined, 'u1');
    body.write(Buffer.concat([frameOf('u0'), frameOf('u1'), frameOf('u2')]));
    await done;
    expect([seen, chunks.at(-1), body.destroyed]).toEqual([['u0', 'u1'], 2, true]);
  });

  it.for([
    ['its connection breaks', (body: PassThrough) => body.destroy(new Error('reset')), 'reset'],
    ['its connection goes without a word', (body: PassThrough) => body.destroy(), 'was closed'],
    ['a frame is refused', (body: PassThrough) => body.write(frameOf('bad')), 'refused'],
    ['a frame claims to be endless', (body: PassThrough) => body.write(Buffer.alloc(8, 0x7f)), 'a frame claims'],
  ] as const)('fails when %s, and passes on what came before', async ([, fail, reason]) => {
    const { body, seen, chunks, done } = read();
    body.write(frameOf('u0'));
    await until(() => seen.length === 1);
    fail(body);
    await expect(done).rejects.toThrow(reason);
    expect(chunks.at(-1)).toBe(1);
    expect(body.destroyed).toBe(true);
  });

  it('fails when it says nothing for too long', async () => {
    await expect(read(undefined, undefined, 20).done).rejects.toMatchObject({ code: 'SC_SILENT_WATCH' });
  });

  it('does not take a reader without room for a server that is silent', async () => {
    const room = Promise.withResolvers<void>();
    let failed = false;
    const { body, chunks, done } = read(() => room.promise, undefined, 20);
    done.catch(() => {
      failed = true;
    });
    body.write(frameOf('u0'));
    await until(() => chunks.length === 1);
    const waited = Promise.withResolvers<void>();
    setTimeout(waited.resolve, 100);
    await waited.promise;
    expect(failed).toBe(false);
    body.end();
    room.resolve();
    await done;
  });
});
