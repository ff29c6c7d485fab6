import type { OutgoingHttpHeaders } from 'node:http';
import type { Exchange } from './faulty-front.ts';
import { statusBody } from './watch-frames.ts';

/** How the body of an error is written: by the API server, by a load balancer in front of it, or not at all. */
export const BODIES = ['status', 'html', 'empty'] as const;
export type Body = (typeof BODIES)[number];

const REASONS: Readonly<Record<number, string>> = {
  401: 'Unauthorized',
  410: 'Expired',
  422: 'Invalid',
  429: 'TooManyRequests',
  500: 'InternalError',
  503: 'ServiceUnavailable',
  504: 'Timeout',
};

/** Answers in the API server's place. */
export function answer(
  { response }: Exchange,
  code: number,
  body: Body = 'status',
  headers: OutgoingHttpHeaders = {},
): void {
  if (response.destroyed) return;
  const reason = REASONS[code] ?? 'Unknown';
  const texts: Readonly<Record<Body, readonly [type: string, text: string]>> = {
    status: ['application/json', statusBody({ code, reason, message: `${reason} by the front` })],
    html: ['text/html', `<html><head><title>${code}</title></head><body><h1>${code}</h1><hr>nginx</body></html>\n`],
    empty: ['text/plain', ''],
  };
  const [type, text] = texts[body];
  response.writeHead(code, { 'content-type': type, 'content-length': Buffer.byteLength(text), ...headers });
  response.end(text);
}
