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

/**
 * Whether the exporter, which was told of a definition, has yet to start its watches again. Between that moment and its
 * new watches a scrape of it may show next to nothing.
 * @param settleMs time after which no more watches of a start are expected.
 */
export function awaitsRestart(
  { startedAt, toldAt = -Infinity }: Definitions,
  watched: readonly Starts[],
  settleMs: number,
  now: number,
): boolean {
  if (now - toldAt >= RESTART_LIMIT_MS) return false;
  const hasRestarted = ({ startedAt: last, startedBeforeAt: before }: Starts): boolean => {
    const isFirst = before < startedAt - SAME_START_MS && last < startedAt + FIRST_START_MS;
    return last > toldAt && !isFirst && now - last >= settleMs;
  };
  return watched.length === 0 || !watched.every(hasRestarted);
}

/**
 * Whether an exporter that is not whole is so because it was told of a definition. A watch that it has started once more
 * since then has had other troubles.
 */
export function startsOver(
  { startedAt, toldAt = -Infinity }: Definitions,
  watched: readonly Starts[],
  now: number,
): boolean {
  if (now - toldAt >= START_OVER_LIMIT_MS) return false;
  return watched.every(({ startedBeforeAt }) => startedBeforeAt <= Math.max(toldAt, startedAt + FIRST_START_MS));
}
