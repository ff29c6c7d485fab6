import type { ServerResponse } from 'node:http';

/** Writes a Kubernetes `Status` failure, which every client of the API understands. */
export function sendStatus(
  response: ServerResponse,
  code: number,
  reason: string,
  message: string,
  retryAfterSeconds?: number,
): void {
  if (response.headersSent || response.destroyed) return;
  const details = retryAfterSeconds === undefined ? {} : { details: { retryAfterSeconds } };
  const status = {
    kind: 'Status',
    apiVersion: 'v1',
    metadata: {},
    status: 'Failure',
    message,
    reason,
    code,
    ...details,
  };
  const body = Buffer.from(JSON.stringify(status));
  response.writeHead(code, {
    'content-type': 'application/json',
    'content-length': body.length,
    ...(code === 405 ? { allow: 'GET' } : {}),
    ...(retryAfterSeconds === undefined ? {} : { 'retry-after': String(retryAfterSeconds) }),
  });
  response.end(body);
}
