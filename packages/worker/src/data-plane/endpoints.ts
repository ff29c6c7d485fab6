import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { listen } from '@shard-controller/shared/listening';
import type { Logger } from '@shard-controller/shared/observability';
import type { Caller } from '../exporter-api/index.ts';
import { newServer } from '../http/index.ts';

export interface EndpointsOptions {
  readonly host: string;
  readonly port: number;
  /** Port for clients beside the exporter; absent: none. */
  readonly clientPort?: number | undefined;
  readonly logger: Logger;
  readonly answer: (request: IncomingMessage, response: ServerResponse, caller: Caller) => void;
}

/** The servers of a data plane: the exporter's, and one for other clients where it is asked for. */
export class Endpoints {
  readonly #options: EndpointsOptions;
  readonly #servers: Server[] = [];

  constructor(options: EndpointsOptions) {
    this.#options = options;
  }

  /** Resolves with the ports. @throws ListenError */
  async open(): Promise<{ readonly port: number; readonly clientPort: number | undefined }> {
    const { host, port, clientPort, logger } = this.#options;
    const at = await this.#listen('exporter', port, "PROXY_PORT (and the exporter's --apiserver with it)");
    logger.info({ host, port: at }, 'the API endpoint of the exporter is listening');
    if (clientPort === undefined) return { port: at, clientPort: undefined };
    const clientsAt = await this.#listen('client', clientPort, 'CLIENT_PORT');
    logger.info({ host, port: clientsAt }, 'the API endpoint of other clients is listening');
    return { port: at, clientPort: clientsAt };
  }

  /**
   * The listeners go first: an exporter whose watch ends asks again at once, and "connection refused" makes it wait with
   * what it has, while a connection that is accepted and reset makes it list again.
   *
   * @param endWatches ends the answers in progress.
   */
  async close(endWatches: () => Promise<void>): Promise<void> {
    const closed = this.#servers.map((server) => new Promise<void>((resolve) => server.close(() => resolve())));
    for (const server of this.#servers) server.closeIdleConnections();
    await endWatches();
    for (const server of this.#servers) server.closeAllConnections();
    await Promise.all(closed);
  }

  async #listen(caller: Caller, port: number, variable: string): Promise<number> {
    const { host, logger, answer } = this.#options;
    const server = newServer((request, response) => answer(request, response, caller));
    const at = await listen(server, { host, port, variable }, (err) => {
      logger.error({ err, caller }, 'an endpoint of the watch proxy failed to accept a connection');
    });
    this.#servers.push(server);
    return at;
  }
}
