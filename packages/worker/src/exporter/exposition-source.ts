import { type IncomingHttpHeaders, type IncomingMessage, request } from 'node:http';

/** Where the exporter serves `/metrics`. */
export interface ExporterAddress {
  readonly host: string;
  readonly port: number;
}

/** The exporter did not begin an answer. @remedy look at the log of the container kube-state-metrics. */
export class ExporterError extends Error {
  override readonly name: string = 'ExporterError';
  readonly code: string = 'SC_EXPORTER_UNREACHABLE';
}

/**
 * Not within the scraper's time: that says as much about the scraper, who chose the time, as about the exporter.
 * @remedy look at the CPU limit of the container kube-state-metrics.
 */
export class ExporterLateError extends ExporterError {
  override readonly name = 'ExporterLateError';
  override readonly code = 'SC_EXPORTER_LATE';
}

/** The exporter answered a check of its series with an error. @remedy look at the log of the container kube-state-metrics. */
export class ExporterStatusError extends ExporterError {
  override readonly name = 'ExporterStatusError';
  override readonly code = 'SC_EXPORTER_STATUS';
}

/** Headers of a scrape that the exporter decides upon. */
const FORWARDED = ['accept', 'accept-encoding', 'user-agent', 'x-prometheus-scrape-timeout-seconds'] as const;

/** RFC 9110 7.6.1: these concern one connection and are not passed on. */
const HOP_BY_HOP = new Set([
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

export interface ExpositionRequest {
  readonly method: 'GET' | 'HEAD';
  /** With its `?`, or empty. */
  readonly search: string;
  readonly headers: IncomingHttpHeaders;
  /** How long to wait for the answer's headers, ms. */
  readonly answerTimeoutMs: number;
  readonly signal: AbortSignal;
}

/**
 * Asks the exporter for its exposition; resolves when the headers have arrived, with the body still to be read. Each
 * scrape has a connection of its own: over loopback that costs nothing, and a kept connection that the exporter has
 * closed would look like an exporter that is gone.
 *
 * @throws ExporterError, ExporterLateError that say what happened and where to look.
 */
export async function openExposition(address: ExporterAddress, wanted: ExpositionRequest): Promise<IncomingMessage> {
  const headers: Record<string, string> = {};
  for (const name of FORWARDED) {
    const value = wanted.headers[name];
    if (typeof value === 'string') headers[name] = value;
  }
  return await new Promise((resolve, reject) => {
    const outgoing = request({
      host: address.host,
      port: address.port,
      method: wanted.method,
      path: `/metrics${wanted.search}`,
      headers,
      agent: false,
      signal: wanted.signal,
    });
    const timer = setTimeout(() => {
      outgoing.destroy(new ExporterLateError(`did not answer within ${Math.round(wanted.answerTimeoutMs)} ms`));
    }, wanted.answerTimeoutMs);
    outgoing.once('response', (answer) => {
      clearTimeout(timer);
      resolve(answer);
    });
    // Stays for the life of the request: an error after the headers arrives at the body too.
    outgoing.on('error', (cause) => {
      clearTimeout(timer);
      reject(explain(address, cause));
    });
    outgoing.end();
  });
}

/** Headers of the exporter's answer that concern the scraper, in the exporter's order and spelling. */
export function forwardedHeaders(answer: IncomingMessage): string[] {
  const passed: string[] = [];
  for (let i = 0; i + 1 < answer.rawHeaders.length; i += 2) {
    const name = answer.rawHeaders[i] ?? '';
    if (!HOP_BY_HOP.has(name.toLowerCase())) passed.push(name, answer.rawHeaders[i + 1] ?? '');
  }
  return passed;
}

function explain({ host, port }: ExporterAddress, cause: Error): ExporterError {
  const where = `kube-state-metrics at ${host}:${port}`;
  if (cause instanceof ExporterLateError) {
    return new ExporterLateError(`${where} ${cause.message}: it is overloaded or stopped; see its container's log`, {
      cause,
    });
  }
  const code = 'code' in cause ? String(cause.code) : cause.message;
  const said = code === 'ECONNREFUSED' ? 'refuses connections' : `broke the connection (${code})`;
  return new ExporterError(`${where} ${said}: it is starting or has exited; see its container's log`, { cause });
}
