import { PassThrough, Readable } from 'node:stream';
import { gzipSync } from 'node:zlib';
import type { StreamRequest, StreamResponse } from '@shard-controller/shared/kubernetes';
import { describe, expect, it } from 'vitest';
import { PODS } from '../feed/follow/testing/feed-context.ts';
import { protobufCodec } from '../wire/frame-codec.ts';
import { readFrames } from '../wire/frame-stream.ts';
import { FrameView } from '../wire/frame-view.ts';
import { protobufFrame, protobufList, protobufObject } from '../wire/testing/wire.ts';
import { CollectionReader } from './collection-reader.ts';
import { plainUpstream } from './plain-upstream.ts';

const NEVER = new AbortController().signal;

/** Answers reads of `count` pods as kube-apiserver does: lists and WatchLists packed for who takes it, in pages. */
class Server {
  readonly requests: { readonly query: URLSearchParams; readonly encoding: string | undefined }[] = [];
  readonly #pods: readonly Buffer[];
  #from = 0;

  constructor(count: number, ballast: number) {
    this.#pods = Array.from({ length: count }, (_, i) =>
      protobufObject({ uid: `u-${i}`, name: `p-${i}`, namespace: 'ns', version: String(i + 1), ballast }),
    );
  }

  readonly stream = async ({ query, headers }: StreamRequest): Promise<StreamResponse> => {
    const asked = new URLSearchParams(
      Object.entries(query ?? {}).map(([key, value]): [string, string] => [key, String(value)]),
    );
    const encoding = headers?.['accept-encoding'];
    this.requests.push({ query: asked, encoding });
    const isWatch = asked.get('watch') === 'true';
    const type = `application/vnd.kubernetes.protobuf${isWatch ? ';stream=watch' : ''}`;
    const isPacked = encoding === 'gzip' && (!isWatch || asked.has('sendInitialEvents'));
    const parts = isWatch ? this.#pods.map((pod) => protobufFrame('ADDED', pod)) : [this.#page(asked)];
    return {
      status: 200,
      headers: { 'content-type': type, ...(isPacked ? { 'content-encoding': 'gzip' } : {}) },
      // A member for each event, cut anywhere.
      body: Readable.from(isPacked ? sliced(Buffer.concat(parts.map((part) => gzipSync(part)))) : parts),
    };
  };

  #page(query: URLSearchParams): Buffer {
    const from = query.has('continue') ? this.#from : 0;
    const limit = Number(query.get('limit') ?? this.#pods.length);
    this.#from = from + limit;
    return protobufList('900', this.#pods.slice(from, from + limit), Math.max(0, this.#pods.length - this.#from));
  }

  limits(): (string | null)[] {
    return this.requests.map(({ query }) => query.get('limit'));
  }
}

function sliced(bytes: Buffer): Buffer[] {
  return Array.from({ length: Math.ceil(bytes.length / 777) }, (_, i) => bytes.subarray(i * 777, (i + 1) * 777));
}

function readerOf(server: Server): CollectionReader {
  return new CollectionReader(plainUpstream(server), PODS, () => 0.5, { shardBy: 'uid', slotCount: 64 });
}

describe('what there is', () => {
  it('comes packed, in lists, lists of metadata and WatchLists', async () => {
    const server = new Server(120, 100);
    const reader = readerOf(server);
    const uids = new Set<string>();
    await reader.objects(NEVER, (_, view) => void uids.add(view.uid()));
    expect(uids.size).toBe(120);
    let metadata = 0;
    await reader.metadata(NEVER, () => metadata++);
    expect(metadata).toBe(120);
    const view = new FrameView();
    let events = 0;
    const response = await reader.watchList('0', NEVER);
    await readFrames({
      response,
      codec: protobufCodec,
      view,
      frame: () => ++events > 0,
      chunk: () => undefined,
    });
    expect(events).toBe(120);
    expect(new Set(server.requests.map(({ encoding }) => encoding))).toEqual(new Set(['gzip']));
  });

  it('comes in pages of about as many bytes, whatever the size of its objects', async () => {
    const small = new Server(560, 100);
    await readerOf(small).objects(NEVER, () => undefined);
    expect(small.limits()).toEqual(['50', '500', '500']);
    const large = new Server(56, 128 * 1024);
    await readerOf(large).objects(NEVER, () => undefined);
    expect(large.limits()).toEqual(['50', '31']);
  });
});

describe('a packed answer that does not come to its end', () => {
  const reading = (cut: (body: PassThrough) => void): Promise<unknown> => {
    const packed = gzipSync(protobufList('9', [protobufObject({ uid: 'u', name: 'p', version: '3', ballast: 9999 })]));
    const upstream = {
      stream: async (): Promise<StreamResponse> => {
        const body = new PassThrough();
        body.write(packed.subarray(0, packed.length - 12));
        setImmediate(() => cut(body));
        const headers = { 'content-type': 'application/vnd.kubernetes.protobuf', 'content-encoding': 'gzip' };
        return { status: 200, headers, body };
      },
    };
    return new CollectionReader(plainUpstream(upstream), PODS, () => 0.5).objects(NEVER, () => undefined);
  };

  it.each<[string, (body: PassThrough) => void]>([
    ['ends early', (body) => body.end()],
    ['is cut with an error', (body) => body.destroy(new Error('ECONNRESET'))],
    ['is cut without a word', (body) => body.destroy()],
  ])('%s is an error, never a shorter list', async (_, cut) => {
    await expect(reading(cut)).rejects.toBeInstanceOf(Error);
  });
});

it('live events come as they are', async () => {
  const server = new Server(1, 0);
  (await readerOf(server).watch('7', NEVER)).body.destroy();
  expect(server.requests.map(({ encoding }) => encoding)).toEqual(['identity']);
});
