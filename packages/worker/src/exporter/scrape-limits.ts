import type { IncomingHttpHeaders } from 'node:http';

export interface ScrapeLimits {
  /** Longest time that a scrape waits for its turn and for the gateway to open, ms. */
  readonly holdMs: number;
  /** Kept free for the answer when the scraper announces its time-out, ms. */
  readonly marginMs: number;
  /** Longest time of a whole scrape, ms; also for a client that takes a little now and then. */
  readonly totalMs: number;
  /** Longest time that a client takes no byte while some wait for it, ms. */
  readonly idleMs: number;
  /** Scrapes at the same time, held ones included; the next ones wait for their turn. */
  readonly concurrent: number;
  /** Longest time that a client takes to send a request's headers, ms. */
  readonly headersMs: number;
  /** Largest headers of a request, bytes. */
  readonly headerBytes: number;
  /** Open connections; further ones are closed at once. */
  readonly connections: number;
  /** Requests of one connection; it is closed after the last, so that clients spread again now and then. */
  readonly requestsPerConnection: number;
}

export const DEFAULT_LIMITS: ScrapeLimits = {
  holdMs: 2000,
  marginMs: 500,
  totalMs: 60_000,
  // A slow client holds the exporter's store lock, because nothing is buffered between them.
  idleMs: 15_000,
  concurrent: 16,
  headersMs: 5000,
  headerBytes: 16 * 1024,
  connections: 256,
  requestsPerConnection: 1000,
};

/** The scraper's own time-out, ms, from the header that Prometheus sends; undefined when absent or unreadable. */
export function announcedTimeout(headers: IncomingHttpHeaders): number | undefined {
  const text = headers['x-prometheus-scrape-timeout-seconds'];
  if (typeof text !== 'string' || text.trim() === '') return undefined;
  const seconds = Number(text);
  return Number.isFinite(seconds) && seconds > 0 ? seconds * 1000 : undefined;
}

/** How long this scrape may wait for the gateway, and how long it may take in all, ms. */
export function scrapeBudget(limits: ScrapeLimits, announcedMs: number | undefined): { hold: number; total: number } {
  const announced = announcedMs ?? Infinity;
  return {
    hold: Math.max(0, Math.min(limits.holdMs, announced - limits.marginMs)),
    total: Math.min(limits.totalMs, announced),
  };
}
