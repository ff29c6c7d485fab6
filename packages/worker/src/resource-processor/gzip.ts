import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Readable, Writable } from 'node:stream';
import { constants, createGunzip, createGzip } from 'node:zlib';
import type { StreamResponse } from '@shard-controller/shared/kubernetes';
import type { Upstream } from './data-plane.ts';
import { headerOf } from './upstream-failure.ts';

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
  return gzip;
}

/**
 * The upstream with every body decompressed: the worker asks for identity (on a CPU bound of microseconds per frame,
 * unpacking costs more than the bytes), but something between may compress all the same.
 */
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
  const plain = createGunzip({ flush: constants.Z_SYNC_FLUSH, finishFlush: constants.Z_FINISH });
  body.on('error', (error) => plain.destroy(error));
  body.on('aborted', () => plain.destroy());
  plain.on('close', () => body.destroy());
  plain.on('error', () => body.destroy());
  return body.pipe(plain);
}
