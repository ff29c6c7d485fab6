import type { StreamResponse } from '@shard-controller/shared/kubernetes';

/** Longest pause between two chunks of an answer that is not a watch. ms. */
const STALL_MS = 10_000;

/**
 * The response body stalled on an open connection.
 * @remedy none: it is read again. If it repeats, check what stands before the API server.
 */
class StalledAnswerError extends Error {
  override readonly name = 'StalledAnswerError';
  readonly code = 'SC_STALLED_ANSWER';
}

/**
 * The body of an answer that is not a watch, up to `limit` bytes and a chunk. Throws what the socket throws, and
 * StalledAnswerError when nothing comes for `stallMs`: a half-open connection would hold its reader for ever.
 */
export async function readBody(
  response: StreamResponse,
  limit = Number.POSITIVE_INFINITY,
  stallMs = STALL_MS,
): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  const timer = setTimeout(() => {
    response.body.destroy(new StalledAnswerError(`a response stalled for ${stallMs / 1_000} s: retrying`));
  }, stallMs);
  try {
    for await (const chunk of response.body) {
      timer.refresh();
      chunks.push(chunk as Buffer);
      bytes += (chunk as Buffer).length;
      if (bytes > limit) break;
    }
  } finally {
    clearTimeout(timer);
  }
  return chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks);
}
