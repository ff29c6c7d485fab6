/**
 * With custom-resource-state, kube-state-metrics looks every 3 s whether it was told of a CustomResourceDefinition, from
 * its first list on, and then drops all its stores and starts all its watches again (`PollForCacheUpdates` of its
 * internal/discovery). Should it never do so, it is waited for so long. ms.
 */
export const RESTART_LIMIT_MS = 10_000;
/** An exporter's watches and the one of the definitions are opened at about the same time, in any order. ms. */
const SAME_START_MS = 1_000;
/** What it opens so long after that is of its second start. ms. */
const FIRST_START_MS = 2_500;

/** An exporter that is not whole so long after it was told of a definition has other troubles. ms. */
const START_OVER_LIMIT_MS = 60_000;

/** `Interval` of internal/discovery: it looks so often whether it was told of a definition. ms. */
const LOOK_EVERY_MS = 3_000;
/**
 * It is told between these times before it looks: late, because from then on its exposition cannot be shown; early
 * enough for a busy machine, and because its watches, by which the look is known, come a moment after it. ms.
 */
const TELL_FROM_MS = 700;
const TELL_UNTIL_MS = 250;
/** It is told again so long after the last time, however busy it is. ms. */
const TELL_LIMIT_MS = 15_000;

/** When an exporter asked for everything of a feed for the last time, and when before that; monotonic ms. */
interface Starts {
  readonly startedAt: number;
  readonly startedBeforeAt: number;
}

/** When the exporter asked for all definitions for the last time, and was told of one for the last time; monotonic ms. */
interface Definitions {
  readonly startedAt: number;
  readonly toldAt: number | undefined;
}

/** The same, and how far its two starts have come. */
interface TwoStarts extends Definitions {
  /** When it first left a watch of that start that had been kept silent: its second start has begun. -Infinity: never. */
  readonly leftAt: number;
}

/**
 * Whether the exporter, which was told of a definition, has yet to start its watches again. Between that moment and its
 * new watches a scrape of it may show next to nothing.
 * @param settleMs time after which no more watches of a start are expected.
 */
export function awaitsRestart(
  { startedAt, toldAt = -Infinity, leftAt }: TwoStarts,
  watched: readonly Starts[],
  settleMs: number,
  now: number,
): boolean {
  if (now - toldAt >= RESTART_LIMIT_MS) return false;
  const hasRestarted = ({ startedAt: last, startedBeforeAt: before }: Starts): boolean => {
    const isEarly = before < startedAt - SAME_START_MS && last < startedAt + FIRST_START_MS;
    const isFirst = isEarly && (leftAt <= startedAt || last < leftAt);
    return last > toldAt && !isFirst && now - last >= settleMs;
  };
  return watched.length === 0 || !watched.every(hasRestarted);
}

/**
 * Whether an exporter that is not whole is so because it was told of a definition: not of those that it found when it
 * was started itself, and unless a watch that was started again since then was lost once more.
 */
export function startsOver(
  { startedAt, toldAt = -Infinity }: Definitions,
  watched: readonly Starts[],
  now: number,
): boolean {
  if (toldAt < startedAt + FIRST_START_MS || now - toldAt >= START_OVER_LIMIT_MS) return false;
  return watched.every(({ startedBeforeAt }) => startedBeforeAt <= toldAt);
}

/**
 * What becomes of a watch that the exporter starts from nothing: it drops all it got with its second start, it keeps it, or
 * that will show within a moment.
 */
export type StartOutlook = 'dropped' | 'kept' | 'unknown';

/**
 * @param definitions undefined while the exporter has no watch on them. `isTold` when it has had the first state.
 * @param askedAt when it asked for the watch in question; monotonic ms.
 */
export function startOutlook(
  definitions: (TwoStarts & { readonly isTold: boolean }) | undefined,
  askedAt: number,
  now: number,
): StartOutlook {
  if (definitions === undefined) return now - askedAt < SAME_START_MS ? 'unknown' : 'kept';
  const { startedAt, toldAt = -Infinity, leftAt, isTold } = definitions;
  if (askedAt >= startedAt + FIRST_START_MS || leftAt > startedAt) return 'kept';
  if (!isTold) return now - startedAt < RESTART_LIMIT_MS ? 'unknown' : 'kept';
  return toldAt >= startedAt && now - toldAt < RESTART_LIMIT_MS ? 'dropped' : 'kept';
}

/** Whether the exporter, since it was told, has started everything that it watches, but not this. */
export function wasLeft({ startedAt }: Starts, toldAt: number, watched: readonly Starts[]): boolean {
  return startedAt <= toldAt && watched.length > 0 && watched.every(({ startedAt: other }) => other > toldAt);
}

/**
 * How long news of definitions are kept from the exporter, ms: until shortly before it looks for them, and while it is
 * busy with the last ones. So it starts over at once, all news of the meantime count for one start, and between two of
 * them it can be scraped. 0 where it is not known when it looks: until it has started over for the first time.
 */
export function tellAfter(
  { startedAt, toldAt = -Infinity }: Definitions,
  watched: readonly Starts[],
  isBusy: boolean,
  now: number,
): number {
  // All its watches are opened at a look; one that was opened again later, by itself, says nothing.
  const looked = Math.min(...watched.map(({ startedAt: last }) => last));
  if (!Number.isFinite(looked) || looked <= startedAt + FIRST_START_MS) return 0;
  const untilLook = LOOK_EVERY_MS - ((now - looked) % LOOK_EVERY_MS);
  if (untilLook > TELL_FROM_MS) return untilLook - TELL_FROM_MS;
  const toldMs = now - toldAt;
  // What comes right after the first news belongs to them.
  const mayTell = !isBusy || toldMs < TELL_FROM_MS || toldMs >= TELL_LIMIT_MS;
  return mayTell && untilLook >= TELL_UNTIL_MS ? 0 : untilLook + LOOK_EVERY_MS - TELL_FROM_MS;
}
