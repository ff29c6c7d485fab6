import { pipeline, type Readable } from 'node:stream';
import { constants, createGunzip } from 'node:zlib';
import type { StreamResponse } from '@shard-controller/shared/kubernetes';
import { headerOf } from './upstream-failure.ts';
import type { Upstream } from './upstream.ts';

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
  // A reader of `plain` gets its errors, among them those of `body` and its early end.
  return pipeline(body, plain, () => undefined);
}
