import { parseRetryAfter, type StreamResponse } from '@shard-controller/shared/kubernetes';
import { FrameView, readEnvelope, readJsonStatus, readProtobufStatus, type StatusSummary } from '../wire/index.ts';
import { readBody } from './answer-body.ts';

/**
 * The API server answered a read of a feed with something else than the stream that was asked for.
 * @remedy as the message says; it is tried again until it succeeds.
 */
export class UpstreamFailure extends Error {
  override readonly name = 'UpstreamFailure';
  readonly code = 'SC_UPSTREAM';
  /** HTTP status, or the `code` of a Status inside the stream. */
  readonly status: number;
  readonly reason: string;
  /** The API server's own sentence. */
  readonly said: string;
  /** The remedy for the user; '' if none is known. */
  readonly remedy: string;
  readonly retryAfterMs: number | undefined;
  /** The conversion webhook of its CRD does not do its work. */
  readonly isOfConversion: boolean;

  constructor(path: string, summary: StatusSummary, retryAfterMs?: number) {
    const remedy = remedyOf(summary, path);
    const text = `GET ${path} was answered ${summary.code} ${summary.reason}: ${summary.message}`;
    super(remedy === '' ? text : `${text}. Remedy: ${remedy}`);
    this.status = summary.code;
    this.reason = summary.reason;
    this.said = summary.message;
    this.remedy = remedy;
    this.retryAfterMs = retryAfterMs;
    this.isOfConversion = isOfConversion(summary.message);
  }
}

/** Kubernetes itself would serve the kind, and this version of it does not: its own kinds do not come and go. */
export class UnknownKindFailure extends UpstreamFailure {}

const isOfConversion = (message: string): boolean => message.includes('conversion webhook');

function remedyOf({ code, message }: StatusSummary, path: string): string {
  if (code === 403) return `grant the worker's ServiceAccount get, list and watch on ${path}`;
  if (code === 401) return "check the worker's ServiceAccount token";
  if (code === 404) return "install the kind, or take it out of the exporter's resources";
  if (isOfConversion(message)) return 'restore the conversion webhook of the CustomResourceDefinition';
  return '';
}

/** A Status in the encoding that was asked for, or in JSON, or the text of a proxy in between. */
function readStatus(body: Buffer): StatusSummary {
  if (!body.subarray(0, 4).equals(PROTOBUF_MAGIC)) return readJsonStatus(body.toString('utf8'));
  try {
    const { start, end } = readEnvelope(body, new FrameView());
    return readProtobufStatus(body, start, end);
  } catch {
    return { code: 0, reason: '', message: '' };
  }
}

const PROTOBUF_MAGIC = Buffer.from('k8s\0');

/** Longest text of an answer that is kept for a message. Bytes. */
const MAX_MESSAGE = 64 * 1024;

/** Turns an answer with an error status into an UpstreamFailure, its text included. */
export async function failureOf(path: string, response: StreamResponse): Promise<UpstreamFailure> {
  // The status alone says enough when its text does not come.
  const body = await readBody(response, MAX_MESSAGE).catch(() => Buffer.alloc(0));
  const summary = readStatus(body);
  const retryAfterMs = parseRetryAfter(response.headers['retry-after'], Date.now());
  return new UpstreamFailure(path, { ...summary, code: response.status }, retryAfterMs);
}

export function headerOf(response: StreamResponse, name: string): string {
  const value = response.headers[name];
  return Array.isArray(value) ? (value[0] ?? '') : (value ?? '');
}
