import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { listen, portOf } from '@shard-controller/shared/listening';
import type { Logger } from '@shard-controller/shared/observability';
import { type Clock, Semaphore } from '@shard-controller/shared/runtime';
import type { ChangeNotifier } from '../change-notifier.ts';
import { type ExporterAddress, ExporterError, ExporterLateError, openExposition } from './exposition-source.ts';
import { answerPage, say } from './gateway-pages.ts';
import type { GatewayState } from './gateway-state.ts';
import {
  announcedTimeout,
  DEFAULT_LIMITS,
  type ScrapeBudget,
  scrapeBudget,
  type ScrapeLimits,
} from './scrape-limits.ts';
import { cutOff, streamScrape } from './scrape-stream.ts';
import { announcesScraper, scraperId, type ScraperTracker } from './scraper-tracker.ts';

/** How a scrape ended; the label `outcome` of the scrape counter. */
export type ScrapeOutcome =
  | 'complete'
  /** Not answered by this worker: `warming`, `fenced`, `standby`. */
  | 'not_open'
  | 'exporter_unreachable'
  /** The exporter answered with another status than 200. */
  | 'exporter_error'
  /** Begun, and cut because the exporter failed or its exposition was no longer complete. */
  | 'cut'
  /** The scraper went away or took too long. */
  | 'client_gone'
  | 'too_many';

export interface GatewayReports {
  /** @param seconds from request to last byte. */
  scrape(outcome: ScrapeOutcome, seconds: number): void;
  /** A scrape waited for the gateway to open. */
  held(seconds: number): void;
  /** A complete exposition was served. */
  exposition(bytes: number, durationMs: number): void;
  exporterReachable(reachable: boolean): void;
}

export interface GatewayOptions {
  /** Address to listen on; all addresses when undefined. */
  readonly host: string | undefined;
  readonly port: number;
  readonly exporter: ExporterAddress;
  /** Looks at everything that decides whether a scrape may be answered, at the moment of the call. */
  readonly state: () => GatewayState;
  /** Announces every possible change of `state`. */
  readonly changes: ChangeNotifier;
  readonly tracker: ScraperTracker;
  readonly reports: GatewayReports;
  readonly limits?: Partial<ScrapeLimits>;
  readonly clock: Clock;
  readonly logger: Logger;
}

/**
 * How long a standby holds a scrape back, ms: the two replicas hear of a promotion a moment apart, and a reader that asks
 * both at once in that moment must get the shard's series from one of them. No more, because it is the usual answer.
 */
const STANDBY_HOLD_MS = 250;
/** Pause before an exporter that broke the connection is asked again, ms. */
const RETRY_MS = 100;

/** One scrape that has its turn. */
interface Scrape {
  readonly method: 'GET' | 'HEAD';
  /** With its `?`, or empty. */
  readonly search: string;
  /** Aborts when the client has gone. */
  readonly gone: AbortSignal;
  /** Aborts when waiting any longer is of no use: the client has gone, or the gateway stops. */
  readonly waiting: AbortSignal;
  /** Monotonic ms. */
  readonly began: number;
  readonly budget: ScrapeBudget;
}

/**
 * `/metrics` of a shard. Passes scrapes on to the exporter while its exposition is complete, and streams the answer
 * through without keeping it; otherwise waits a little and then says 503 and why, because a partial exposition looks
 * like deleted objects and a 503 does not.
 */
export class Gateway {
  readonly #options: GatewayOptions;
  readonly #limits: ScrapeLimits;
  readonly #server: Server;
  readonly #turns: Semaphore;
  readonly #stopping = new AbortController();
  /** Connections with a scrape in progress. */
  readonly #scraping = new Set<Socket>();

  constructor(options: GatewayOptions) {
    this.#options = options;
    this.#limits = { ...DEFAULT_LIMITS, ...options.limits };
    const { headerBytes, headersMs, idleMs, connections, requestsPerConnection, concurrent } = this.#limits;
    this.#turns = new Semaphore(concurrent);
    this.#server = createServer(
      {
        maxHeaderSize: headerBytes,
        headersTimeout: headersMs,
        requestTimeout: 2 * headersMs,
        // Node looks for late headers so often, and by itself every 30 s only.
        connectionsCheckingInterval: Math.min(1000, headersMs),
        keepAliveTimeout: 75_000,
      },
      (request, response) => void this.#answer(request, response),
    );
    this.#server.maxConnections = connections;
    this.#server.maxRequestsPerSocket = requestsPerConnection;
    // Node counts it as activity when a client takes some of what waits, so that only a standstill ends a connection. A
    // client that has taken everything waits for the exporter, as long as its scrape may take.
    this.#server.setTimeout(idleMs, (socket) => {
      if (!this.#scraping.has(socket) || socket.writableLength > 0) socket.resetAndDestroy();
    });
  }

  /** @throws ListenError when the port is taken. */
  async start(): Promise<void> {
    const { host, port, logger } = this.#options;
    await listen(this.#server, { host, port, variable: 'GATEWAY_PORT' }, (err) => {
      logger.error({ err }, 'the metrics gateway failed to accept a connection');
    });
  }

  /** The port in use, also when 0 was asked for. */
  get port(): number {
    return portOf(this.#server) ?? this.#options.port;
  }

  /** Lets scrapes in flight finish, for at most `graceMs`; those that are held back get their 503 at once. */
  async stop(graceMs = 5000): Promise<void> {
    this.#stopping.abort();
    if (!this.#server.listening) return;
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.#server.closeIdleConnections();
    const timer = setTimeout(() => this.#server.closeAllConnections(), graceMs);
    await closed;
    clearTimeout(timer);
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    // Without a listener an aborted request would end the process.
    request.on('error', () => undefined);
    response.on('error', () => undefined);
    const [path = '', ...query] = (request.url ?? '').split('?');
    const { method } = request;
    if (method !== 'GET' && method !== 'HEAD') {
      response.setHeader('allow', 'GET, HEAD');
      return say(response, 405, `${method ?? 'this method'} is not allowed: read /metrics with GET or HEAD`);
    }
    if (path !== '/metrics') return answerPage(path, response);
    const started = this.#options.clock.monotonic();
    const { socket } = request;
    this.#scraping.add(socket);
    const outcome = await this.#counted(request, response, method, query.length === 0 ? '' : `?${query.join('?')}`);
    this.#scraping.delete(socket);
    this.#options.reports.scrape(outcome, (this.#options.clock.monotonic() - started) / 1000);
  }

  async #counted(
    request: IncomingMessage,
    response: ServerResponse,
    method: 'GET' | 'HEAD',
    search: string,
  ): Promise<ScrapeOutcome> {
    const { clock, logger } = this.#options;
    const gone = new AbortController();
    response.once('close', () => gone.abort());
    const waiting = AbortSignal.any([gone.signal, this.#stopping.signal]);
    const began = clock.monotonic();
    const budget = scrapeBudget(this.#limits, announcedTimeout(request.headers));
    const patience = this.#options.state().startsOver === true ? budget.startOverHold : budget.hold;
    if (!(await this.#turns.enter(patience, waiting))) {
      if (gone.signal.aborted) return 'client_gone';
      say(response, 503, `${this.#turns.held} scrapes are running, which is the maximum: try again`);
      return 'too_many';
    }
    try {
      return await this.#scrape(request, response, { method, search, gone: gone.signal, waiting, began, budget });
    } catch (error) {
      logger.error({ err: error }, 'scrape failed');
      if (!response.headersSent) say(response, 503, 'internal error of the worker; see its log');
      else cutOff(response);
      return 'cut';
    } finally {
      this.#turns.leave();
    }
  }

  async #scrape(request: IncomingMessage, response: ServerResponse, scrape: Scrape): Promise<ScrapeOutcome> {
    const { clock, state, tracker, reports } = this.#options;
    const { budget } = scrape;
    const left = (of: number): number => of - (clock.monotonic() - scrape.began);
    for (;;) {
      const refusal = await this.#hold(scrape);
      if (scrape.gone.aborted) return 'client_gone';
      if (refusal !== undefined) {
        say(response, 503, refusal);
        return 'not_open';
      }
      const startedAt = clock.now();
      const asked = clock.monotonic();
      const answer = await this.#open(request, scrape, Math.max(100, left(budget.total) - this.#limits.marginMs));
      if (scrape.gone.aborted) {
        if (!(answer instanceof ExporterError)) answer.destroy();
        return 'client_gone';
      }
      if (answer instanceof ExporterError) {
        // An exporter that restarts is back soon, and nothing has been sent yet.
        if (left(budget.hold) > RETRY_MS && !scrape.waiting.aborted) {
          await clock.sleep(RETRY_MS, scrape.waiting);
          continue;
        }
        say(response, 503, answer.message);
        return 'exporter_unreachable';
      }
      // It may have closed while the exporter was rendering: nothing has been sent, so the scrape can wait again.
      if (!state().open) {
        answer.destroy();
        continue;
      }
      const bytes = await streamScrape(answer, response, state, left(budget.total));
      if (typeof bytes === 'string') return bytes;
      if (answer.statusCode !== 200) return 'exporter_error';
      if (scrape.method === 'HEAD') return 'complete';
      if (scrape.search === '') reports.exposition(bytes, clock.monotonic() - asked);
      const id = scraperId(request.socket.remoteAddress, request.headers['user-agent'], scrape.search);
      tracker.completed({ id, startedAt, endedAt: clock.now(), announced: announcesScraper(request.headers) });
      return 'complete';
    }
  }

  /** Waits until the gateway is open; the reason when it did not open in time. */
  async #hold({ began, budget, waiting }: Scrape): Promise<string | undefined> {
    const { clock, changes, state, reports } = this.#options;
    const heldSince = clock.monotonic();
    const deadline = (now: GatewayState): number => {
      if (now.startsOver === true) return began + budget.startOverHold;
      return now.state === 'standby' ? Math.min(heldSince + STANDBY_HOLD_MS, began + budget.hold) : began + budget.hold;
    };
    let now = state();
    if (now.open) return undefined;
    for (let isOver = false; !now.open && !isOver; now = state()) {
      const until = deadline(now);
      // Why it is closed may change, and the patience with it.
      isOver = !(await changes.until(
        () => state().open || deadline(state()) !== until,
        until - clock.monotonic(),
        waiting,
      ));
    }
    reports.held((clock.monotonic() - heldSince) / 1000);
    return now.open ? undefined : `${now.state}: ${now.reason}`;
  }

  async #open(
    request: IncomingMessage,
    scrape: Scrape,
    answerTimeoutMs: number,
  ): Promise<IncomingMessage | ExporterError> {
    const { exporter, reports } = this.#options;
    try {
      const { method, search, gone: signal } = scrape;
      const answer = await openExposition(exporter, {
        method,
        search,
        headers: request.headers,
        answerTimeoutMs,
        signal,
      });
      reports.exporterReachable(true);
      return answer;
    } catch (error) {
      if (!(error instanceof ExporterError)) throw error;
      // No answer in the scraper's own time is no sign that the exporter is gone: its monitor asks on a time of its own.
      if (!scrape.gone.aborted && !(error instanceof ExporterLateError)) reports.exporterReachable(false);
      return error;
    }
  }
}
