import type { Dispatcher } from 'undici';
import type { Logger } from '../../observability/index.ts';
import type { KubernetesClientOptions, KubernetesRequest, ResponseHeaders } from './client-types.ts';
import { ConnectionPool } from './connection-pool.ts';
import type { KubernetesEndpoint } from './endpoint.ts';
import type { RequestIdentity } from './kubernetes-error.ts';
import { encodeBody, pathWithQuery } from './request-encoding.ts';
import { isStaleConnection, isTlsFailure } from './transport-error.ts';

interface Answer {
  readonly status: number;
  readonly headers: ResponseHeaders;
  readonly body: Dispatcher.ResponseData['body'];
}

export interface Outgoing extends RequestIdentity {
  readonly target: string;
  readonly headers: Record<string, string>;
  readonly body: Uint8Array | undefined;
  readonly signal: AbortSignal | undefined;
  readonly headersTimeoutMs: number;
  readonly maySend?: (() => boolean) | undefined;
}

/** A write was not sent, because this process may no longer write. @remedy none: another manager leads. */
export class NotSentError extends Error {
  override readonly name = 'NotSentError';
  readonly code = 'SC_KUBERNETES_NOT_SENT';
}

/**
 * Sends one request over pooled connections, with the endpoint's present credentials; once more where a connection was
 * stale, or where the endpoint has other credentials by now.
 */
export class RequestSender {
  readonly #endpoint: KubernetesEndpoint;
  readonly #logger: Logger;
  readonly #userAgent: string;
  readonly #pool: ConnectionPool;
  readonly #origin: string;
  readonly #prefix: string;

  constructor({ endpoint, logger, userAgent }: Pick<KubernetesClientOptions, 'endpoint' | 'logger' | 'userAgent'>) {
    this.#endpoint = endpoint;
    this.#logger = logger;
    this.#userAgent = userAgent;
    this.#pool = new ConnectionPool(endpoint);
    const server = new URL(endpoint.server);
    this.#origin = server.origin;
    this.#prefix = server.pathname.replace(/\/+$/, '');
  }

  /** Ends all connections, open requests and streams included. Idempotent. */
  async close(): Promise<void> {
    await this.#pool.close();
  }

  async open(outgoing: Outgoing): Promise<Answer> {
    const isRead = outgoing.method === 'GET' || outgoing.method === 'HEAD';
    let answer: Answer;
    try {
      answer = await this.#dispatch(outgoing);
    } catch (error) {
      if (outgoing.signal?.aborted === true) throw error;
      const again = isTlsFailure(error) ? this.#endpoint.refresh?.() === true : isRead && isStaleConnection(error);
      if (!again) throw error;
      answer = await this.#dispatch(outgoing);
    }
    if (answer.status !== 401 || this.#endpoint.refresh?.() !== true) return answer;
    await answer.body.dump();
    this.#logger.info({ path: outgoing.path }, 'the API server refused the token; reading it again');
    return this.#dispatch(outgoing);
  }

  async #dispatch(outgoing: Outgoing): Promise<Answer> {
    if (outgoing.maySend?.() === false) throw new NotSentError('not sent: its caller may no longer send it');
    const token = this.#endpoint.token();
    const authorization: Record<string, string> =
      token === undefined || token === '' ? {} : { authorization: `Bearer ${token}` };
    const answer = await this.#pool.dispatcher().request({
      origin: this.#origin,
      path: outgoing.target,
      method: outgoing.method,
      headers: { ...outgoing.headers, ...authorization },
      body: outgoing.body ?? null,
      signal: outgoing.signal ?? null,
      headersTimeout: outgoing.headersTimeoutMs,
      bodyTimeout: 0,
    });
    return { status: answer.statusCode, headers: answer.headers, body: answer.body };
  }

  outgoing(request: KubernetesRequest): Outgoing {
    const body = encodeBody(request.body);
    const headers: Record<string, string> = { accept: 'application/json', 'user-agent': this.#userAgent };
    if (body !== undefined) {
      headers['content-type'] = request.contentType ?? 'application/json';
      // Without a length the server ignores the body of a DELETE, that is, its grace period and preconditions.
      headers['content-length'] = String(body.byteLength);
    }
    for (const [name, value] of Object.entries(request.headers ?? {})) headers[name.toLowerCase()] = value;
    return {
      method: request.method,
      path: request.path,
      target: `${this.#prefix}${pathWithQuery(request.path, request.query)}`,
      headers,
      body,
      signal: request.signal,
      headersTimeoutMs: 0,
      maySend: request.maySend,
    };
  }
}
