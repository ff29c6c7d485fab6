import { Agent, get } from 'node:http';

/** A place to scrape: a worker's gateway or the unsharded reference. */
export interface Target {
  readonly name: string;
  readonly url: string;
}

/** One scrape. A refused, failed, non-200 or late one has no body: to a scraper these are all the same. */
export interface Scrape {
  readonly target: string;
  /** Start and end, ms on `performance.now()`. */
  readonly start: number;
  readonly end: number;
  readonly body: Buffer | undefined;
  readonly problem: string | undefined;
}

/** Longest that a scrape may take, ms. */
export const SCRAPE_TIMEOUT_MS = 2000;

/** Scrapes with kept-alive connections; the buffer of a target is used again by its next scrape. */
export class Scraper {
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 2 });
  readonly #buffers = new Map<string, Buffer>();
  readonly #userAgent: string;

  constructor(userAgent: string) {
    this.#userAgent = userAgent;
  }

  scrape(target: Target): Promise<Scrape> {
    const start = performance.now();
    return new Promise((resolve) => {
      let length = 0;
      let buffer = this.#buffers.get(target.name) ?? Buffer.allocUnsafe(1 << 20);
      const done = (problem: string | undefined): void => {
        clearTimeout(timer);
        this.#buffers.set(target.name, buffer);
        const body = problem === undefined ? buffer.subarray(0, length) : undefined;
        resolve({ target: target.name, start, end: performance.now(), body, problem });
      };
      const request = get(target.url, {
        agent: this.#agent,
        headers: {
          'user-agent': this.#userAgent,
          accept: 'text/plain;version=0.0.4',
          'x-prometheus-scrape-timeout-seconds': String(SCRAPE_TIMEOUT_MS / 1000),
        },
      });
      const timer = setTimeout(
        () => request.destroy(new Error(`late (over ${SCRAPE_TIMEOUT_MS} ms)`)),
        SCRAPE_TIMEOUT_MS,
      );
      request.once('error', (error) => done(error.message || String(error)));
      request.once('response', (response) => {
        response.on('data', (chunk: Buffer) => {
          if (length + chunk.length > buffer.length) {
            const larger = Buffer.allocUnsafe(Math.max(buffer.length * 2, length + chunk.length));
            buffer.copy(larger, 0, 0, length);
            buffer = larger;
          }
          chunk.copy(buffer, length);
          length += chunk.length;
        });
        response.once('error', (error) => done(error.message));
        response.once('end', () => {
          if (!response.complete) return done('cut off');
          done(response.statusCode === 200 ? undefined : `HTTP ${response.statusCode}`);
        });
      });
    });
  }

  close(): void {
    this.#agent.destroy();
  }
}
