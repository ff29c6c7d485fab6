import type { Subscription } from '../feed/books/index.ts';
import type { Feed, FeedUse } from '../feed/follow/index.ts';

/**
 * The life of an exporter, inferred from the watches that it opens: the exporter itself never says whether it is starting
 * or complete. With custom-resource-state, kube-state-metrics checks every 3 s whether its watch brought a change of a
 * CustomResourceDefinition; the first list counts as one. Then it drops all its stores and starts all its watches again
 * (`PollForCacheUpdates` of its internal/discovery). So it discards its first start, and it starts over after each change of
 * a CRD. A worker that took either for complete would answer scrapes with a part of the series.
 *
 * `exporterTimes` reads the times from the feeds once; `exporterLife` turns them into one named state for a given moment.
 * All times are monotonic ms; -Infinity means never.
 */

/** An exporter opens its watches one after the other; the set is taken as whole when none came for so long. ms. */
export const SETTLE_MS = 1_000;
/**
 * After a restart of this process the exporter's watches come back each with its own back-off, 1 to 30 s. What is said
 * about all feeds waits for most of them; verification finds a feed that is missing. ms.
 */
export const RESUME_MS = 10_000;
/** Should it never start over, it is waited for so long. ms. */
const RESTART_LIMIT_MS = 10_000;
/** An exporter's watches and the one of the CRDs are opened at about the same time, in any order. ms. */
const SAME_START_MS = 1_000;
/** What it opens so long after that is of its second start. ms. */
const FIRST_START_MS = 2_500;
/** An exporter that is not whole so long after it was sent a change of a CRD has other troubles. ms. */
const START_OVER_LIMIT_MS = 60_000;

/** The part of a Feed that this module reads. */
export interface LifeFeed extends Pick<Feed, 'isQuiet' | 'isResumed' | 'initialSyncComplete' | 'createdAt'> {
  readonly use: Pick<FeedUse, 'startedAt' | 'startedBeforeAt' | 'leftAt'>;
  readonly problem: string | undefined;
  readonly outage: unknown;
  readonly refusal: unknown;
  readonly state:
    | {
        readonly filled: boolean;
        readonly everSubscribed: boolean;
        readonly notifiedAt: number | undefined;
        readonly subscriptions: readonly Pick<Subscription, 'attached' | 'initialPending'>[];
      }
    | undefined;
}

/** When the exporter asked for everything of one feed. */
export interface WatchTimes {
  readonly startedAt: number;
  readonly startedBeforeAt: number;
  /** Its kind may be going away: such watches come and go. */
  readonly isTroubled: boolean;
}

/** The exporter's watch on all CRDs. */
export interface CrdTimes {
  /** When the feed was opened. */
  readonly createdAt: number;
  /** When it asked for all of them; never, if that was before this process. */
  readonly startedAt: number;
  /** When it was last sent a change of one. */
  readonly notifiedAt: number;
  /** When it first left a watch of that start that had been kept silent: its second start has begun. */
  readonly leftAt: number;
  /** It has resumed the watch, and knows what there is. */
  readonly isResumed: boolean;
  readonly isListed: boolean;
  readonly watch: 'refused' | 'none' | 'pending' | 'notified';
}

export interface ExporterTimes {
  /** Undefined without custom-resource-state. */
  readonly crds: CrdTimes | undefined;
  /** Of the sharded feeds that it watches. */
  readonly watched: readonly WatchTimes[];
  /** When the feeds were opened that it has not left and that can be read. */
  readonly openedAt: readonly number[];
  /** When it came back to this process; undefined when it started from nothing. */
  readonly resumedAt: number | undefined;
  /** It had shown everything, here or to the process before this one, and has kept that. */
  readonly initialSyncComplete: boolean;
}

/** What is known of an exporter that may have been resumed. */
export interface KnownPast {
  readonly resumedAt: number | undefined;
  readonly initialSyncComplete: boolean;
}

export function exporterTimes(
  feeds: readonly LifeFeed[],
  { resumedAt, initialSyncComplete }: KnownPast,
): ExporterTimes {
  const crds = feeds.find(({ isQuiet }) => isQuiet);
  const sharded = feeds.filter(({ isQuiet }) => !isQuiet);
  const watched = sharded.filter(isWatched).map(watchTimes);
  const notifiedAt = crds?.state?.notifiedAt;
  const counting = sharded.filter((feed) => feed.outage === undefined && !hasLeft(feed, notifiedAt, watched));
  return {
    crds: crds && crdTimes(crds),
    watched,
    openedAt: counting.map(({ createdAt }) => createdAt),
    resumedAt,
    initialSyncComplete: initialSyncComplete && counting.every((feed) => feed.initialSyncComplete),
  };
}

/** Sharded feeds that the exporter uses. One that it left when it started over is none: its kind is gone. */
export function feedsInUse<F extends LifeFeed>(feeds: readonly F[], times: ExporterTimes, life: ExporterLife): F[] {
  const sharded = feeds.filter(({ isQuiet }) => !isQuiet);
  if (isRestarting(life)) return sharded;
  const notifiedAt = times.crds?.notifiedAt;
  return sharded.filter((feed) => !hasLeft(feed, notifiedAt, times.watched));
}

/** Whether the exporter, since it was sent a change, has started everything that it watches, but not this. */
function hasLeft(
  { state, use: { startedAt } }: LifeFeed,
  notifiedAt = -Infinity,
  watched: readonly WatchTimes[],
): boolean {
  if (state?.everSubscribed !== true || state.subscriptions.length > 0 || notifiedAt === -Infinity) return false;
  return startedAt <= notifiedAt && watched.length > 0 && watched.every(({ startedAt: other }) => other > notifiedAt);
}

function isWatched({ state }: LifeFeed): boolean {
  return state?.subscriptions.some(({ attached }) => attached) === true;
}

function watchTimes({ use: { startedAt, startedBeforeAt }, problem }: LifeFeed): WatchTimes {
  return { startedAt, startedBeforeAt, isTroubled: problem !== undefined };
}

function crdTimes(feed: LifeFeed): CrdTimes {
  const { createdAt, use, isResumed, refusal, state } = feed;
  const watches = state?.subscriptions.filter(({ attached }) => attached) ?? [];
  const isNotified = !watches.some(({ initialPending }) => initialPending);
  const open = watches.length === 0 ? 'none' : isNotified ? 'notified' : 'pending';
  return {
    createdAt,
    startedAt: use.startedAt,
    notifiedAt: state?.notifiedAt ?? -Infinity,
    leftAt: use.leftAt,
    isResumed,
    isListed: state?.filled === true,
    watch: refusal === undefined ? open : 'refused',
  };
}

/**
 * - `Absent`: it has asked for nothing yet.
 * - `Discovering`: its first start; its watch brings the existing CRDs, and it starts everything again.
 * - `Restarting`: it was sent a change of a CRD later on, and has yet to start its watches again.
 * - `Opening`: it opens its watches.
 * - `Returning`: it comes back to this process with everything that it had shown.
 * - `Resuming`: it comes back, and had not shown everything.
 * - `Extending`: it is back, and opens watches that it did not have.
 * - `Settled`: all its watches are there.
 */
export type ExporterState =
  | 'Absent'
  | 'Discovering'
  | 'Restarting'
  | 'Opening'
  | 'Returning'
  | 'Resuming'
  | 'Extending'
  | 'Settled';

export interface ExporterLife {
  readonly state: ExporterState;
  /** What it has to resume has had time to come back. */
  readonly isBack: boolean;
  /** If it is not whole, then because it was sent a change of a CRD a moment ago. */
  readonly isStartingOver: boolean;
}

export function exporterLife(times: ExporterTimes, now: number): ExporterLife {
  const { resumedAt } = times;
  const isBack = resumedAt === undefined || now - resumedAt >= RESUME_MS;
  return { state: stateAt(times, isBack, now), isBack, isStartingOver: isStartingOver(times, now) };
}

/** It is about to start all its watches again: until then a scrape of it may show next to nothing. */
export function isRestarting({ state }: ExporterLife): boolean {
  return state === 'Discovering' || state === 'Restarting';
}

function stateAt(times: ExporterTimes, isBack: boolean, now: number): ExporterState {
  const { crds, openedAt, resumedAt, initialSyncComplete } = times;
  if (crds !== undefined && awaitsRestart(crds, times.watched, now)) {
    return crds.notifiedAt < crds.startedAt + FIRST_START_MS ? 'Discovering' : 'Restarting';
  }
  if (!isBack) return initialSyncComplete ? 'Returning' : 'Resuming';
  const isComplete = openedAt.length > 0 && openedAt.every((at) => now - at >= SETTLE_MS);
  if (isComplete) return 'Settled';
  if (resumedAt !== undefined) return 'Extending';
  return openedAt.length === 0 ? 'Absent' : 'Opening';
}

function awaitsRestart(crds: CrdTimes, watched: readonly WatchTimes[], now: number): boolean {
  const { createdAt, startedAt, notifiedAt, leftAt, isResumed, isListed } = crds;
  // Its watch will bring the existing CRDs; a resumed exporter has them.
  if (!isListed) return !isResumed && now - createdAt < RESTART_LIMIT_MS;
  if (now - notifiedAt >= RESTART_LIMIT_MS) return false;
  const hasRestarted = ({ startedAt: last, startedBeforeAt: before }: WatchTimes): boolean => {
    const isEarly = before < startedAt - SAME_START_MS && last < startedAt + FIRST_START_MS;
    const isFirst = isEarly && (leftAt <= startedAt || last < leftAt);
    return last > notifiedAt && !isFirst && now - last >= SETTLE_MS;
  };
  return watched.length === 0 || !watched.every(hasRestarted);
}

/** Not of those that it found when it was started itself, and unless a watch that was started again was lost once more. */
function isStartingOver({ crds, watched }: ExporterTimes, now: number): boolean {
  if (crds === undefined) return false;
  const { startedAt, notifiedAt } = crds;
  if (notifiedAt < startedAt + FIRST_START_MS || now - notifiedAt >= START_OVER_LIMIT_MS) return false;
  return watched.every(({ startedBeforeAt, isTroubled }) => isTroubled || startedBeforeAt <= notifiedAt);
}

/**
 * What becomes of a watch that the exporter starts from nothing: it drops all it got with its second start, it keeps it, or
 * that will show within a moment.
 */
export type StartOutlook = 'dropped' | 'kept' | 'unknown';

/** @param askedAt when it asked for the watch in question. */
export function startOutlook({ crds }: ExporterTimes, askedAt: number, now: number): StartOutlook {
  const { watch = 'none', startedAt = -Infinity, notifiedAt = -Infinity, leftAt = -Infinity } = crds ?? {};
  const isLater = askedAt >= startedAt + FIRST_START_MS || leftAt > startedAt;
  switch (watch) {
    case 'refused':
      return 'kept';
    case 'none':
      return now - askedAt < SAME_START_MS ? 'unknown' : 'kept';
    case 'pending':
      return !isLater && now - startedAt < RESTART_LIMIT_MS ? 'unknown' : 'kept';
    case 'notified':
      return !isLater && notifiedAt >= startedAt && now - notifiedAt < RESTART_LIMIT_MS ? 'dropped' : 'kept';
  }
  return watch satisfies never;
}

/** `Interval` of internal/discovery: how often it checks whether its watch brought a change of a CRD. ms. */
const LOOK_EVERY_MS = 3_000;
/**
 * It is sent the change between these times before it checks: late, because from then on its exposition cannot be shown; early
 * enough for a busy machine, and because its watches, by which the look is known, come a moment after it. ms.
 */
const TELL_FROM_MS = 700;
const TELL_UNTIL_MS = 250;
/** It is sent the change again this long after the last one, however busy it is. ms. */
const TELL_LIMIT_MS = 15_000;

/**
 * How long news of CRDs are kept from the exporter, ms: until shortly before it looks for them, and while it is
 * busy with the last ones. So it starts over at once, all news of the meantime count for one start, and between two of
 * them it can be scraped. 0 where it is not known when it looks: until it has started over for the first time.
 *
 * @param isWarm whether a scrape of it would show everything.
 */
export function notificationDelay(times: ExporterTimes, isWarm: boolean, now: number): number {
  const { crds, watched } = times;
  if (crds === undefined) return 0;
  const { startedAt, notifiedAt } = crds;
  // All its watches are opened at a look; one that was opened again later, by itself, says nothing.
  const looked = Math.min(...watched.map(({ startedAt: last }) => last));
  if (!Number.isFinite(looked) || looked <= startedAt + FIRST_START_MS) return 0;
  const untilLook = LOOK_EVERY_MS - ((now - looked) % LOOK_EVERY_MS);
  if (untilLook > TELL_FROM_MS) return untilLook - TELL_FROM_MS;
  const notifiedMs = now - notifiedAt;
  // Of a kind that is going away it will never be whole: that is the news.
  const isPartial = !isWarm && !watched.some(({ isTroubled }) => isTroubled);
  const isBusy = isRestarting(exporterLife(times, now)) || isPartial;
  // What comes right after the first news belongs to them.
  const mayTell = !isBusy || notifiedMs < TELL_FROM_MS || notifiedMs >= TELL_LIMIT_MS;
  return mayTell && untilLook >= TELL_UNTIL_MS ? 0 : untilLook + LOOK_EVERY_MS - TELL_FROM_MS;
}
