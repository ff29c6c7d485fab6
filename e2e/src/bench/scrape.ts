import { Agent, get } from 'node:http';

/** One complete scrape that was read and thrown away. */
export interface CountedScrape {
  readonly ms: number;
  readonly bytes: number;
  /** Lines that are no comments. */
  readonly series: number;
}

const TIMEOUT_MS = 30_000;
const NEWLINE = 0x0a;
const HASH = 0x23;

const agent = new Agent({ keepAlive: true });

/**
 * Reads `/metrics` to its end. Undefined for anything but a whole answer with status 200.
 * @param begun called when such an answer begins.
 */
export function countSeries(url: string, begun: () => void = () => undefined): Promise<CountedScrape | undefined> {
  const start = performance.now();
  return new Promise((resolve) => {
    const headers = { 'user-agent': 'shard-controller-bench', accept: 'text/plain;version=0.0.4' };
    const request = get(url, { agent, headers, timeout: TIMEOUT_MS }, (response) => {
      let bytes = 0;
      let series = 0;
      let lineStarts = true;
      if (response.statusCode === 200) begun();
      response.on('data', (chunk: Buffer) => {
        bytes += chunk.length;
        for (let at = 0; at < chunk.length; ) {
          if (lineStarts && chunk[at] !== HASH) series++;
          const newline = chunk.indexOf(NEWLINE, at);
          lineStarts = newline >= 0;
          at = newline < 0 ? chunk.length : newline + 1;
        }
      });
      response.once('error', () => resolve(undefined));
      response.once('end', () => {
        const whole = response.complete && response.statusCode === 200;
        resolve(whole ? { ms: performance.now() - start, bytes, series } : undefined);
      });
    });
    request.once('timeout', () => request.destroy());
    request.once('error', () => resolve(undefined));
  });
}

/** The text of a small answer; undefined for anything but a whole one with status 200. */
export function readText(url: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    const request = get(url, { agent, headers: { 'user-agent': 'shard-controller-bench' }, timeout: TIMEOUT_MS });
    request.once('response', (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.once('error', () => resolve(undefined));
      response.once('end', () => {
        const whole = response.complete && response.statusCode === 200;
        resolve(whole ? Buffer.concat(chunks).toString() : undefined);
      });
    });
    request.once('timeout', () => request.destroy());
    request.once('error', () => resolve(undefined));
  });
}
