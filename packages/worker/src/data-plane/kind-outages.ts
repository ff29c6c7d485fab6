import type { UnavailableKind } from '@shard-controller/shared/contracts';
import { type FeedState, SlotState, type Subscription } from '../feed/books/index.ts';
import type { Feed } from '../feed/follow/index.ts';
import type { FeedTrouble, Outage, Trouble, TroubleNature } from '../feed/health/index.ts';
import { UpstreamFailure } from '../upstream/index.ts';
import { STALE_MS } from './feeds-status.ts';

/**
 * How long a kind has to fail while most others are well before it is left out. An answer of the API server that all
 * others contradict needs little; a conversion webhook may be restarting; and who says nothing may be busy. ms.
 */
export const PATIENCE_MS: Readonly<Record<Exclude<TroubleNature, 'unknown'>, number>> = {
  refused: 4_000,
  failing: 10_000,
  slow: 20_000,
};

/** For this long after most kinds got no answer, no kind is judged: an API server that restarts comes back kind by kind. ms. */
export const RECOVERY_MS = 30_000;

/**
 * For this long after kinds were kept waiting, no kind counts as silent: each is asked about every 8 s, so what is late for
 * the others, too, shows within this time. ms.
 */
const BUSY_MS = 30_000;
/** One kind in so many, and two at least, that get late answers or none make a busy server. */
const BUSY_SHARE = 4;

/** An open watch that is heard no more for so long, while most are, is broken; a busy machine is late by much. ms. */
export const DEAF_MS = 30_000;

/** The part of a Feed that this module reads. */
export interface JudgedFeed extends Pick<Feed, 'isQuiet' | 'connected' | 'answers' | 'proofAt'> {
  readonly trouble: Pick<FeedTrouble, 'at'>;
  readonly state:
    | (Pick<FeedState, 'filled'> & {
        readonly subscriptions: readonly Pick<Subscription, 'attached' | 'initialPending' | 'slots'>[];
      })
    | undefined;
  outage: Outage | undefined;
}

/**
 * Tells a kind that is broken from an API server that is: a kind whose reads keep failing while those of most others have
 * been well for as long. While nothing is well, or others are still coming back, no kind is judged but one that this
 * version of Kubernetes does not have; while several wait for answers, too, none is said to be silent. A judgement stands
 * until the exporter shows all of the kind again: what is half mended must not hold back the rest.
 */
export class KindOutages<F extends JudgedFeed> {
  #wellSince = new Map<F, number>();
  #recoversUntil = -Infinity;
  /** Until when answers that do not come are the server's, not the kind's; monotonic ms. */
  #busyUntil = -Infinity;
  /** When the API server last answered no kind, or most kinds received nothing; monotonic ms. */
  #staleUntil = -Infinity;

  /**
   * Looks at all feeds of the exporter, twice a second or so.
   *
   * @param now monotonic ms.
   * @param wallNow ms since the epoch.
   * @param probedAt when the API server last answered a probe; monotonic ms.
   */
  observe(feeds: readonly F[], now: number, wallNow: number, probedAt: number): void {
    const sharded = feeds.filter(({ isQuiet }) => !isQuiet);
    // Answers, whatever they say, are of the kind; no answer for most kinds is of the server.
    const isCut = (feed: F): boolean => feed.state !== undefined && !feed.connected;
    const isSilent = (feed: F): boolean => isCut(feed) || feed.trouble.at(now).some(({ nature }) => nature === 'slow');
    const isStale = (feed: F): boolean => feed.state?.filled === true && now - feed.proofAt(probedAt) > STALE_MS;
    const judged = sharded.filter(({ outage }) => outage === undefined);
    if (isMost(judged, isSilent)) this.#recoversUntil = now + RECOVERY_MS;
    if (isBusy(judged, isSilent, now)) this.#busyUntil = now;
    if (now - probedAt > STALE_MS || isMost(judged, isStale)) this.#staleUntil = now;
    const well = sharded.filter((feed) => feed.state !== undefined && feed.trouble.at(now).length === 0);
    this.#wellSince = new Map(well.map((feed) => [feed, this.#wellSince.get(feed) ?? now]));
    const othersSince = median([...this.#wellSince.values()]);
    for (const feed of sharded) {
      if (this.#wellSince.has(feed) && !isStale(feed)) {
        if (feed.outage !== undefined) feed.outage = isSynced(feed) ? undefined : { ...feed.outage, isMending: true };
        continue;
      }
      const mayJudge = othersSince !== undefined && now >= this.#recoversUntil;
      const seen = absence(feed, now) ?? (mayJudge ? this.#broken(feed, now, probedAt, othersSince) : undefined);
      const [trouble] = feed.outage === undefined ? [] : feed.trouble.at(now);
      const found = seen ?? (trouble === undefined ? undefined : findingOf(trouble));
      if (found === undefined) continue;
      const since = feed.outage?.since ?? found.since;
      const at = feed.outage?.at ?? Math.round(wallNow - (now - since));
      feed.outage = { since, at, cause: found.cause, problem: found.problem, isMending: false };
    }
  }

  /** Why the kind of a feed counts as broken, if it does. @param othersSince since when most others are well. */
  #broken(feed: F, now: number, probedAt: number, othersSince: number): Finding | undefined {
    // The newest failure counts, not the clock: a process that stalled has sent no request meanwhile.
    const isLasting = ({ since, failedAt, nature }: Trouble): boolean => {
      if (nature === 'unknown') return false;
      const from = nature === 'slow' ? Math.max(since, this.#busyUntil) : since;
      return failedAt - Math.max(from, othersSince) >= PATIENCE_MS[nature];
    };
    const trouble = feed.trouble.at(now).find(isLasting);
    if (trouble !== undefined) return findingOf(trouble);
    // One that was never filled may simply be large; and while the API server answers no kind, quiet kinds prove nothing.
    const proofAt = feed.proofAt(probedAt);
    const heardBy = Math.max(proofAt, othersSince, this.#staleUntil, this.#busyUntil);
    const isDeaf = feed.state?.filled === true && now - heardBy > DEAF_MS;
    return isDeaf ? silence(proofAt) : undefined;
  }
}

/** This version of Kubernetes does not have the kind: that is so however the others are, and however soon it is asked. */
function absence({ trouble }: JudgedFeed, now: number): Finding | undefined {
  const found = trouble.at(now).find(({ nature }) => nature === 'unknown');
  return found && findingOf(found);
}

interface Finding {
  readonly since: number;
  readonly cause: UnavailableKind['cause'];
  readonly problem: string;
}

const silence = (since: number): Finding => ({
  since,
  cause: 'silent',
  problem:
    'no answer for it, while the API server answers for other kinds. ' +
    'Remedy: check what is between the worker and the API server, and read the log of the API server',
});

function findingOf({ since, error, problem, nature }: Trouble): Finding {
  if (!(error instanceof UpstreamFailure)) return { since, cause: 'silent', problem };
  const { said, remedy, status, reason } = error;
  const sentence = said === '' ? `${status} ${reason}` : said;
  const text = remedy === '' ? sentence : `${sentence}. Remedy: ${remedy}`;
  return { since, cause: causeOf(status, nature), problem: text };
}

function causeOf(status: number, nature: TroubleNature): UnavailableKind['cause'] {
  if (status === 401) return 'unauthorized';
  if (status === 403) return 'forbidden';
  if (nature === 'refused' || nature === 'unknown') return 'not-served';
  return nature === 'failing' ? 'failing' : 'silent';
}

/** Whether the exporter shows all that it should of the kind. */
function isSynced({ state }: JudgedFeed): boolean {
  const watches = state?.subscriptions.filter(({ attached }) => attached) ?? [];
  const isShown = ({ initialPending, slots }: (typeof watches)[number]): boolean =>
    !initialPending && !slots.includes(SlotState.Loading) && !slots.includes(SlotState.Sent);
  return state?.filled === true && watches.length > 0 && watches.every(isShown);
}

const isMost = <T>(all: readonly T[], holds: (each: T) => boolean): boolean =>
  2 * all.filter(holds).length > all.length;

/** Whether too many of the kinds that were asked of late had to wait for one of them to be the cause. */
function isBusy<F extends JudgedFeed>(feeds: readonly F[], isSilent: (feed: F) => boolean, now: number): boolean {
  const asked = feeds.filter((feed) => isSilent(feed) || now - feed.answers.at < BUSY_MS);
  const waited = asked.filter((feed) => isSilent(feed) || now - feed.answers.lateAt < BUSY_MS).length;
  return waited >= 2 && waited * BUSY_SHARE > asked.length;
}

/** The later of the middle ones where there are two; undefined of nothing. */
function median(values: readonly number[]): number | undefined {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];
}
