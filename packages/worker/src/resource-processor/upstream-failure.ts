import type { StreamResponse } from '@shard-controller/shared/kubernetes';
import type { StatusSummary } from './protobuf-frame.ts';
import { readJsonStatus } from './json-frame.ts';

/** The API server answered a read of a feed with something else than the stream that was asked for. */
export class UpstreamFailure extends Error {
  override readonly name = 'UpstreamFailure';
  readonly code = 'SC_UPSTREAM';
  /** HTTP status, or the `code` of a Status inside the stream. */
  readonly status: number;
  readonly reason: string;
  readonly retryAfterMs: number | undefined;

  constructor(path: string, summary: StatusSummary, retryAfterMs?: number) {
    super(
      `GET ${path} was answered ${summary.code} ${summary.reason}: ${summary.message}${remedyOf(summary.code, path)}`,
    );
    this.status = summary.code;
    this.reason = summary.reason;
    this.retryAfterMs = retryAfterMs;
  }
}

function remedyOf(status: number, path: string): string {
  if (status === 403) return `. Remedy: grant the worker's ServiceAccount get, list and watch on ${path}`;
  if (status === 401) return ". Remedy: check the worker's ServiceAccount token";
  if (status === 404) return ". Remedy: install the kind, or take it out of the exporter's resources";
  return '';
}

/** Longest text of an answer that is kept for a message. Bytes. */
const MAX_MESSAGE = 64 * 1024;

/** Turns an answer with an error status into an UpstreamFailure, its text included. */
export async function failureOf(path: string, response: StreamResponse): Promise<UpstreamFailure> {
  const text = await readText(response);
  const retryAfter = Number(headerOf(response, 'retry-after'));
  const summary = readJsonStatus(text);
  return new UpstreamFailure(
    path,
    { ...summary, code: response.status },
    Number.isFinite(retryAfter) && retryAfter > 0 ? retryAfter * 1_000 : undefined,
  );
}

async function readText(response: StreamResponse): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const chunk of response.body) {
      chunks.push(chunk as Buffer);
      bytes += (chunk as Buffer).length;
      if (bytes > MAX_MESSAGE) break;
    }
  } catch {
    // The status alone says enough.
  }
  return Buffer.concat(chunks).toString('utf8');
}

export function headerOf(response: StreamResponse, name: string): string {
  const value = response.headers[name];
  return Array.isArray(value) ? (value[0] ?? '') : (value ?? '');
}
