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

/** Scrapes with kept-alive connections, and with buffers that are used again once they are given back. */
export class Scraper {
  readonly #agent = new Agent({ keepAlive: true });
  readonly #free = new Map<string, Buffer[]>();
  readonly #userAgent: string;
  readonly #timeoutMs: number;

  constructor(userAgent: string, timeoutMs = SCRAPE_TIMEOUT_MS) {
    this.#userAgent = userAgent;
    this.#timeoutMs = timeoutMs;
  }

  scrape(target: Target): Promise<Scrape> {
    const start = performance.now();
    return new Promise((resolve) => {
      let length = 0;
      let buffer = this.#free.get(target.name)?.pop() ?? Buffer.allocUnsafe(1 << 20);
      const done = (problem: string | undefined): void => {
        clearTimeout(timer);
        const body = problem === undefined ? buffer.subarray(0, length) : undefined;
        if (body === undefined) this.#giveBack(target.name, buffer);
        resolve({ target: target.name, start, end: performance.now(), body, problem });
      };
      const request = get(target.url, {
        agent: this.#agent,
        headers: {
          'user-agent': this.#userAgent,
          accept: 'text/plain;version=0.0.4',
          'x-prometheus-scrape-timeout-seconds': String(this.#timeoutMs / 1000),
        },
      });
      const timer = setTimeout(() => request.destroy(new Error(`late (over ${this.#timeoutMs} ms)`)), this.#timeoutMs);
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

  /** Gives the body of a scrape back; it must no longer be read. */
  recycle({ target, body }: Scrape): void {
    if (body !== undefined)
      this.#giveBack(target, Buffer.from(body.buffer, body.byteOffset, body.buffer.byteLength - body.byteOffset));
  }

  #giveBack(target: string, buffer: Buffer): void {
    const free = this.#free.get(target);
    if (free === undefined) this.#free.set(target, [buffer]);
    else free.push(buffer);
  }

  close(): void {
    this.#agent.destroy();
  }
}
