import type { IncomingMessage, ServerResponse } from 'node:http';
import { pipeline } from 'node:stream/promises';
import { discard, type StreamResponse } from '@shard-controller/shared/kubernetes';
import { type Clock, errorMessage } from '@shard-controller/shared/runtime';
import { sendStatus } from '../http/index.ts';
import { upstreamBackoff } from './failure-cause.ts';
import type { Upstream } from './upstream.ts';

/**
 * Reads are tried again for so long while the API server cannot be reached or says that it cannot answer now: an
 * exporter that gets an error at its start exits.
 */
const PATIENCE_MS = 20_000;
/** Until an answer's headers. ms. */
const HEADERS_TIMEOUT_MS = 10_000;
/** Largest body of a self-subject review. Bytes. */
const MAX_BODY = 64 * 1024;
const REQUEST_HEADERS = ['accept', 'accept-encoding', 'content-type', 'if-none-match'] as const;
const RESPONSE_HEADERS = [
  'content-type',
  'content-encoding',
  'content-length',
  'etag',
  'vary',
  'warning',
  'retry-after',
] as const;

/** A request that is forwarded unchanged, its target checked and rewritten. */
export interface ForwardedRequest {
  readonly method: 'GET' | 'HEAD' | 'POST';
  readonly path: string;
  readonly query: Readonly<Record<string, string>>;
}

/** Forwards one request with the worker's credentials and streams the answer back untouched. */
export async function forward(
  upstream: Upstream,
  passed: ForwardedRequest,
  request: IncomingMessage,
  response: ServerResponse,
  clock: Clock,
  signal: AbortSignal,
): Promise<void> {
  const headers: Record<string, string> = {};
  for (const name of REQUEST_HEADERS) {
    const value = request.headers[name];
    if (typeof value === 'string') headers[name] = value;
  }
  const body = passed.method === 'POST' ? await readRequest(request) : undefined;
  if (body === 'too-large') {
    sendStatus(response, 413, 'RequestEntityTooLarge', `the body is longer than ${MAX_BODY} bytes`);
    return;
  }
  const ask = { ...passed, headers, body, signal, headersTimeoutMs: HEADERS_TIMEOUT_MS };
  let answer: StreamResponse;
  try {
    answer = await withPatience(() => upstream.stream(ask), body === undefined, clock, signal);
  } catch (error) {
    if (!signal.aborted) sendUnreachable(response, error);
    return;
  }
  await forwardAnswer(answer, response);
}

/** Hands an answer of the API server on as it is. */
export async function forwardAnswer(answer: StreamResponse, response: ServerResponse): Promise<void> {
  const out: Record<string, string | string[]> = {};
  for (const name of RESPONSE_HEADERS) {
    const value = answer.headers[name];
    if (value !== undefined) out[name] = value;
  }
  response.writeHead(answer.status, out);
  await pipeline(answer.body, response).catch(() => response.destroy());
}

export function sendUnreachable(response: ServerResponse, error: unknown): void {
  const said = errorMessage(error);
  sendStatus(response, 503, 'ServiceUnavailable', `the worker cannot reach the API server: ${said}`, 1);
}

async function withPatience(
  open: () => Promise<StreamResponse>,
  isRepeatable: boolean,
  clock: Clock,
  signal: AbortSignal,
): Promise<StreamResponse> {
  const deadline = clock.monotonic() + PATIENCE_MS;
  const backoff = upstreamBackoff(Math.random);
  for (;;) {
    try {
      const answer = await open();
      if (!isRepeatable || !isPassing(answer.status) || clock.monotonic() > deadline) return answer;
      discard(answer);
      await clock.sleep(backoff.next(), signal);
    } catch (error) {
      if (!isRepeatable || signal.aborted || clock.monotonic() > deadline) throw error;
      await clock.sleep(backoff.next(), signal);
    }
  }
}

/** Whether the same request may well be answered in a moment: an expired token, too much load, a server that starts. */
function isPassing(status: number): boolean {
  return status === 401 || status === 429 || (status >= 500 && status !== 501);
}

async function readRequest(request: IncomingMessage): Promise<Buffer | 'too-large'> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request) {
    bytes += (chunk as Buffer).length;
    if (bytes > MAX_BODY) return 'too-large';
    chunks.push(chunk as Buffer);
  }
  return Buffer.concat(chunks);
}
