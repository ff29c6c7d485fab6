import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Writable } from 'node:stream';
import { constants, createGzip } from 'node:zlib';

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
