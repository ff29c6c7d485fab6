import type { IncomingMessage, ServerResponse } from 'node:http';
import { pipeline, type Readable, type Writable } from 'node:stream';
import { constants, createGunzip, createGzip } from 'node:zlib';
import type { StreamResponse } from '@shard-controller/shared/kubernetes';
import type { Upstream } from '../data-plane/data-plane.ts';
import { headerOf } from '../upstream/upstream-failure.ts';

/** Whether a client takes gzip: named, or by `*`, and not with `q=0`. */
export function takesGzip(request: Pick<IncomingMessage, 'headers'>): boolean {
  const header = request.headers['accept-encoding'];
  for (const part of (typeof header === 'string' ? header : '').split(',')) {
    const [coding = '', quality = ''] = part.split(';').map((text) => text.trim().toLowerCase());
    if ((coding === 'gzip' || coding === '*') && !/^q=0(\.0*)?$/.test(quality)) return true;
  }
  return false;
}

/**
 * The body of a response as gzip. Every write is flushed (RFC 1952 one member, zlib sync flush), because Go's reader
 * holds the end of a member back until it has seen the next one's head.
 */
export function gzipInto(response: ServerResponse): Writable {
  const gzip = createGzip({ level: constants.Z_BEST_SPEED, flush: constants.Z_SYNC_FLUSH });
  gzip.pipe(response);
  gzip.on('error', () => response.destroy());
  response.on('close', () => gzip.destroy());
  // Who gives it up before its end would leave a response that never ends.
  gzip.on('close', () => {
    if (!gzip.readableEnded) response.destroy();
  });
  return gzip;
}

/**
 * Most bytes that are unpacked at a time. With 16 KiB, the default, unpacking costs four times as much CPU: each piece is
 * a task of its own.
 */
const UNPACKED_BYTES = 128 * 1024;

/** The upstream with every body decompressed: that of a list that was asked for so, and what something between did. */
export function plainUpstream(upstream: Upstream): Upstream {
  return { stream: async (request) => plainResponse(await upstream.stream(request)) };
}

function plainResponse(response: StreamResponse): StreamResponse {
  if (headerOf(response, 'content-encoding').toLowerCase() !== 'gzip') return response;
  const { 'content-encoding': _, 'content-length': __, ...headers } = response.headers;
  return { ...response, headers, body: gunzip(response.body) };
}

/** Unpacks as bytes come, over as many members as there are. */
function gunzip(body: Readable): Readable {
  const plain = createGunzip({
    chunkSize: UNPACKED_BYTES,
    flush: constants.Z_SYNC_FLUSH,
    finishFlush: constants.Z_FINISH,
  });
  // Whoever reads `plain` is told of its errors, those of `body` and its early end among them.
  return pipeline(body, plain, () => undefined);
}
