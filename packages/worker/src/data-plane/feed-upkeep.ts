import type { Logger } from '@shard-controller/shared/observability';
import type { Clock } from '@shard-controller/shared/runtime';
import type { Subscription } from '../feed/books/index.ts';
import type { Feed } from '../feed/follow/index.ts';
import type { ExporterPast } from './exporter-past.ts';
import { KindOutages } from './kind-outages.ts';

/** client-go's back-off between two watches ends at 30 s; who stays away longer does not come back. ms. */
const AWAIT_LIMIT_MS = 60_000;
/** Per watch that is waited for: client-go sends 5 requests per second to an API group, kube-state-metrics leaves it so. ms. */
const REQUEST_TURN_MS = 200;
/** The same for a watch that the exporter has replaced on the same feed. ms. */
const REPLACED_LIMIT_MS = 5_000;
/** An exporter that takes nothing for so long while its queue is full is cut off; it then starts over. ms. */
const STALL_LIMIT_MS = 60_000;
/** A feed that says nothing is compared with a consistent read so often; one feed at a time. ms. */
const COMPARE_EVERY_MS = 8_000;

export interface FeedUpkeepOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly past: ExporterPast;
  /** When the newest probe that got an answer was sent; monotonic ms. */
  readonly probedAt: () => number;
  /** Names of the feeds that hear nothing. */
  readonly stale: () => readonly string[];
}

/** Periodic work on all feeds, and what the log says of them. */
export class FeedUpkeep {
  readonly #options: FeedUpkeepOptions;
  readonly #outages = new KindOutages<Feed>();
  #isInterrupted = false;

  constructor(options: FeedUpkeepOptions) {
    this.#options = options;
  }

  /** To be called twice a second. */
  tick(feeds: readonly Feed[]): void {
    const { clock, logger } = this.#options;
    const awaited = feeds
      .flatMap(({ state }) => state?.subscriptions ?? [])
      .filter(({ awaitedVersion }) => awaitedVersion !== undefined).length;
    for (const feed of feeds) {
      feed.report();
      for (const lost of lostSubscriptions(feed.state?.subscriptions ?? [], awaited)) {
        logger.warn(
          { awaitedMs: lost.awaitedMs(), stalledMs: lost.stalledMs() },
          'giving up a watch of the exporter: the exporter did not come back or read nothing',
        );
        lost.close();
      }
      feed.tidy();
    }
    nextToCompare(feeds, clock.monotonic())?.compare();
    this.#observeOutages(feeds);
    this.#reportInterruptions(feeds);
  }

  #observeOutages(feeds: readonly Feed[]): void {
    const { clock, logger, past, probedAt } = this.#options;
    const before = new Map(feeds.map((feed) => [feed, feed.outage]));
    this.#outages.observe(feeds, clock.monotonic(), clock.now(), probedAt());
    for (const [{ name, resource, outage }, was] of before) {
      if (outage !== undefined && was === undefined) {
        const { cause, problem } = outage;
        logger.warn({ feed: name, cause, problem }, 'a kind cannot be read: continuing without it');
      } else if (outage === undefined && was !== undefined) {
        past.noteMended(resource);
        logger.info({ feed: name }, 'a kind is complete again');
      }
    }
  }

  /** One line when feeds are cut off or deaf, one when all are back: an API server that restarts cuts them all. */
  #reportInterruptions(feeds: readonly Feed[]): void {
    const { logger, stale } = this.#options;
    const deaf = new Set(stale());
    const cut = feeds.filter(
      ({ outage, connected, problem, name }) =>
        outage === undefined && ((!connected && problem !== undefined) || deaf.has(name)),
    );
    if (cut.length > 0 === this.#isInterrupted) return;
    this.#isInterrupted = cut.length > 0;
    const problem =
      cut.find((feed) => feed.problem !== undefined)?.problem ??
      'the API server does not answer: it is frozen, or packets are lost';
    if (cut.length === 0) logger.info({ feeds: feeds.length }, 'all feeds follow the API server');
    else logger.warn({ feeds: cut.length, of: feeds.length, problem }, 'feeds are cut off from the API server');
  }
}

/**
 * Watches whose exporter does not come back for them, or takes nothing of what they bring.
 * @param awaited number of watches, over all feeds, for which it has yet to come back: they take turns.
 */
export function lostSubscriptions<S extends Pick<Subscription, 'id' | 'awaitedMs' | 'stalledMs'>>(
  subscriptions: readonly S[],
  awaited: number,
): S[] {
  const newest = Math.max(0, ...subscriptions.map(({ id }) => id));
  return subscriptions.filter((each) => {
    // An exporter that asked again on the same feed does not come back for the watch that it left.
    const limit = each.id < newest ? REPLACED_LIMIT_MS : AWAIT_LIMIT_MS + awaited * REQUEST_TURN_MS;
    return each.awaitedMs() > limit || each.stalledMs() > STALL_LIMIT_MS;
  });
}

/** The feed that has been quiet, and was not compared with the cluster, for the longest time. */
export function nextToCompare<F extends Pick<Feed, 'connected' | 'comparedAt' | 'lastFrameAt'>>(
  feeds: readonly F[],
  now: number,
): F | undefined {
  const quietSince = (feed: F): number => Math.max(feed.comparedAt, feed.lastFrameAt);
  const [next] = feeds
    .filter((feed) => feed.connected && now - quietSince(feed) >= COMPARE_EVERY_MS)
    .sort((a, b) => quietSince(a) - quietSince(b));
  return next;
}
