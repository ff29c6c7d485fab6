import type { IncomingHttpHeaders } from 'node:http';

export interface ScrapeLimits {
  /** Longest time that a scrape waits for its turn and for the gateway to open, ms. */
  readonly holdMs: number;
  /**
   * The same while the exporter starts over, for a scraper that announces its time-out, ms: a late scrape is a whole
   * one. Less than `idleMs`, during which a held connection is silent.
   */
  readonly startOverHoldMs: number;
  /** Of an announced time-out, what is left for the answer after that hold, ms. */
  readonly answerMs: number;
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
  startOverHoldMs: 8000,
  answerMs: 2000,
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

/** How long one scrape may take, from its begin, ms. */
export interface ScrapeBudget {
  /** For its turn and for the gateway to open. */
  readonly hold: number;
  /** The same while the exporter starts over. */
  readonly startOverHold: number;
  readonly total: number;
}

/** @param announcedMs the scraper's own time-out; who announces none may have little patience. */
export function scrapeBudget(limits: ScrapeLimits, announcedMs = Infinity): ScrapeBudget {
  const hold = Math.max(0, Math.min(limits.holdMs, announcedMs - limits.marginMs));
  const longer = announcedMs === Infinity ? 0 : Math.min(limits.startOverHoldMs, announcedMs - limits.answerMs);
  return { hold, startOverHold: Math.max(hold, longer), total: Math.min(limits.totalMs, announcedMs) };
}
