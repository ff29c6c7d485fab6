import { createSecureContext } from 'node:tls';
import { Agent, buildConnector, type Dispatcher, errors } from 'undici';
import type { KubernetesEndpoint } from './endpoint.ts';

/** First TCP keep-alive probe after 4 s of silence: a dead peer shows within 15 s (libuv asks for ten, 1 s apart). */
const KEEP_ALIVE_DELAY_MS = 4_000;
const CONNECT_TIMEOUT_MS = 5_000;
/**
 * TLS handshakes at the same time. A worker may open a thousand watches at once; were they all to shake hands together, each
 * would take longer than its time-out, and so would all that try again.
 */
const PARALLEL_CONNECTS = 16;
/** Idle connections are closed by us before kube-apiserver (90 s) or a usual load balancer (60 s) does. */
const IDLE_MS = 30_000;

/**
 * The pooled connections to one API server. HTTP/1.1 on purpose: each watch has a connection and its own TCP
 * back-pressure, so a slow consumer never stalls another one.
 */
export class ConnectionPool {
  readonly #endpoint: KubernetesEndpoint;
  #agent: Agent | undefined;
  #ca: string | undefined;
  #closed = false;
  /** Agents of an earlier CA whose last requests are still in progress. */
  readonly #retired = new Set<Agent>();

  constructor(endpoint: KubernetesEndpoint) {
    this.#endpoint = endpoint;
  }

  /** The dispatcher to use for the next request. Replaced when the CA has changed; open requests end on the old one. */
  dispatcher(): Dispatcher {
    if (this.#closed) throw new errors.ClientClosedError('the Kubernetes client is closed');
    const ca = this.#endpoint.ca();
    if (this.#agent !== undefined && ca === this.#ca) return this.#agent;
    if (this.#agent !== undefined) this.#retire(this.#agent);
    this.#ca = ca;
    this.#agent = new Agent({
      allowH2: false,
      pipelining: 1,
      keepAliveTimeout: IDLE_MS,
      keepAliveMaxTimeout: IDLE_MS,
      connect: inTurn(
        buildConnector({
          allowH2: false,
          timeout: CONNECT_TIMEOUT_MS,
          keepAlive: true,
          keepAliveInitialDelay: KEEP_ALIVE_DELAY_MS,
          // One for all connections: each would read the CA and set up a context of its own otherwise.
          ...(ca === undefined ? {} : { secureContext: createSecureContext({ ca }) }),
          ...(this.#endpoint.tlsServerName === undefined ? {} : { servername: this.#endpoint.tlsServerName }),
        }),
      ),
    });
    return this.#agent;
  }

  /** Ends everything, open requests included. Idempotent. */
  async close(): Promise<void> {
    this.#closed = true;
    const agents = [...this.#retired, ...(this.#agent === undefined ? [] : [this.#agent])];
    this.#agent = undefined;
    this.#retired.clear();
    await Promise.all(agents.map((agent) => agent.destroy()));
  }

  #retire(agent: Agent): void {
    this.#retired.add(agent);
    agent.close().then(
      () => this.#retired.delete(agent),
      () => this.#retired.delete(agent),
    );
  }
}

/** The same connector for `PARALLEL_CONNECTS` at a time; a time-out begins with the turn. */
function inTurn(connect: buildConnector.connector): buildConnector.connector {
  const waiting: (() => void)[] = [];
  let connecting = 0;
  const next = (): void => {
    connecting--;
    waiting.shift()?.();
  };
  return (options, callback) => {
    const begin = (): void => {
      connecting++;
      connect(options, (...outcome) => {
        next();
        callback(...outcome);
      });
    };
    if (connecting < PARALLEL_CONNECTS) begin();
    else waiting.push(begin);
  };
}
