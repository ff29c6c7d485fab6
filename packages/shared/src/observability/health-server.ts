import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { listen } from '../listening/index.ts';
import type { Logger } from './logger.ts';
import type { Metrics } from './metrics.ts';

/** A named check: resolves with nothing when all is well, with a sentence when not; a rejection counts as not. */
export type HealthCheck = () => Promise<string | undefined>;

/** A check that has not answered by then has failed; the endpoints answer within 100 ms whatever the checks do. */
const CHECK_TIMEOUT_MS = 80;

/** Probes, scrapers and people; more are refused, so that none of them can use up the process's file descriptors. */
const MAX_CONNECTIONS = 256;
/** A connection that does not say what it wants makes room for others. ms. */
const REQUEST_TIMEOUT_MS = 10_000;

export interface HealthServerOptions {
  readonly port: number;
  /** Address to listen on; all addresses when absent. */
  readonly host?: string;
  /** Environment variable that sets the port, named in the error when the port is taken. */
  readonly portVariable: string;
  readonly logger: Logger;
  /** What `/metrics` answers; 404 when absent. */
  readonly metrics?: Pick<Metrics, 'text' | 'contentType'>;
  /** Further GET paths of this process, for lifecycle hooks and the like. */
  readonly routes?: ReadonlyMap<string, HealthRoute>;
}

/** Answers a request on a path of its own; may take its time. */
export type HealthRoute = (request: IncomingMessage, response: ServerResponse) => Promise<void>;

interface Report {
  readonly name: string;
  readonly problem: string | undefined;
}

async function runCheck(name: string, check: HealthCheck): Promise<Report> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<string>((resolve) => {
    timer = setTimeout(resolve, CHECK_TIMEOUT_MS, `no answer within ${CHECK_TIMEOUT_MS} ms`);
  });
  try {
    return { name, problem: await Promise.race([check(), late]) };
  } catch (error) {
    return { name, problem: error instanceof Error ? error.message : String(error) };
  } finally {
    clearTimeout(timer);
  }
}

/** In the form of Kubernetes' own endpoints: `[+]name ok`, `[-]name failed: why`. */
function render(reports: readonly Report[]): string {
  const lines = reports.map(({ name, problem }) =>
    problem === undefined ? `[+]${name} ok` : `[-]${name} failed: ${problem}`,
  );
  return `${[...lines, reports.some((report) => report.problem !== undefined) ? 'check failed' : 'ok'].join('\n')}\n`;
}

const TEXT = 'text/plain; charset=utf-8';

/**
 * `/livez`, `/readyz`, `/healthz` and `/metrics` on one port.
 *
 * - `/livez` (also `/healthz`): should this process continue? 503 asks for a restart. No external dependency belongs here.
 * - `/readyz`: all readiness checks and all liveness checks.
 *
 * 200 with all checks well, 503 otherwise; each check is a line of the body.
 */
export class HealthServer {
  readonly name = 'health-server';
  readonly #options: HealthServerOptions;
  readonly #liveness = new Map<string, HealthCheck>();
  readonly #readiness = new Map<string, HealthCheck>();
  /** Newest outcome of each endpoint, so that only changes are logged. */
  readonly #outcomes = new Map<string, string>();
  readonly #routes: Map<string, HealthRoute>;
  #server: Server | undefined;

  constructor(options: HealthServerOptions) {
    this.#options = options;
    this.#routes = new Map(options.routes);
  }

  /** Further GET paths, of parts of the process that are made later. */
  addRoutes(routes: ReadonlyMap<string, HealthRoute>): void {
    for (const [path, route] of routes) this.#routes.set(path, route);
  }

  /** A check whose failure means that only a restart helps. */
  addLivenessCheck(name: string, check: HealthCheck): void {
    this.#liveness.set(name, check);
  }

  /** A check whose failure means that this process cannot do its work now. */
  addReadinessCheck(name: string, check: HealthCheck): void {
    this.#readiness.set(name, check);
  }

  /** The port in use; of interest when it was given as 0. */
  get port(): number {
    const address = this.#server?.address();
    return isAddressInfo(address) ? address.port : this.#options.port;
  }

  /** @throws ListenError */
  async start(): Promise<void> {
    const timeouts = {
      headersTimeout: REQUEST_TIMEOUT_MS,
      requestTimeout: REQUEST_TIMEOUT_MS,
      connectionsCheckingInterval: 1_000,
    };
    const server = createServer(timeouts, (request, response) => {
      this.#answer(request, response).catch((error: unknown) => {
        this.#options.logger.error({ err: error, path: request.url }, 'health endpoint failed');
        if (!response.headersSent) send(response, 500, 'internal error\n');
        else response.destroy();
      });
    });
    server.maxConnections = MAX_CONNECTIONS;
    const { port, host, portVariable: variable, logger } = this.#options;
    await listen(server, { port, host, variable }, (err) => logger.error({ err }, 'health server failed'));
    this.#server = server;
  }

  async stop(): Promise<void> {
    const server = this.#server;
    if (server === undefined) return;
    this.#server = undefined;
    await new Promise<void>((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    request.resume();
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      response.setHeader('allow', 'GET, HEAD');
      return send(response, 405, 'only GET and HEAD are served here\n');
    }
    const path = (request.url ?? '/').split('?', 1)[0];
    const { metrics } = this.#options;
    if (path === '/livez' || path === '/healthz') return this.#check(path, this.#liveness, response);
    if (path === '/readyz') return this.#check(path, new Map([...this.#liveness, ...this.#readiness]), response);
    if (path === '/metrics' && metrics !== undefined) {
      return send(response, 200, await metrics.text(), metrics.contentType);
    }
    const route = this.#routes.get(path ?? '');
    if (route !== undefined) return route(request, response);
    const others = [...this.#routes.keys()].map((other) => ` ${other}`).join('');
    send(response, 404, `paths: /livez /readyz /healthz /metrics${others}\n`);
  }

  async #check(path: string, checks: ReadonlyMap<string, HealthCheck>, response: ServerResponse): Promise<void> {
    const reports = await Promise.all([...checks].map(([name, check]) => runCheck(name, check)));
    const failed = reports.filter((report) => report.problem !== undefined);
    const outcome = failed.map(({ name }) => name).join(', ');
    if ((this.#outcomes.get(path) ?? '') !== outcome) {
      this.#outcomes.set(path, outcome);
      if (failed.length === 0) this.#options.logger.info({ path }, 'health checks pass');
      else this.#options.logger.warn({ path, failed }, 'health checks fail');
    }
    send(response, failed.length === 0 ? 200 : 503, render(reports));
  }
}

function isAddressInfo(address: AddressInfo | string | null | undefined): address is AddressInfo {
  return typeof address === 'object' && address !== null;
}

function send(response: ServerResponse, status: number, body: string, contentType = TEXT): void {
  response.writeHead(status, { 'content-type': contentType, 'cache-control': 'no-store' });
  response.end(body);
}
