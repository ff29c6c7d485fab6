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

/** When an exporter asked for everything of a feed for the last time, and when before that; monotonic ms. */
interface Starts {
  readonly startedAt: number;
  readonly startedBeforeAt: number;
}

/**
 * Whether the exporter, which was told of a definition at `toldAt` and asked for all of them at `startedAt`, has yet to
 * start its watches again. Between that moment and its new watches a scrape of it may show next to nothing.
 * @param settleMs time after which no more watches of a start are expected.
 */
export function awaitsRestart(
  definitions: { readonly startedAt: number; readonly toldAt: number | undefined },
  watched: readonly Starts[],
  settleMs: number,
  now: number,
): boolean {
  const { startedAt, toldAt = -Infinity } = definitions;
  if (now - toldAt >= RESTART_LIMIT_MS) return false;
  const hasRestarted = ({ startedAt: last, startedBeforeAt: before }: Starts): boolean => {
    const isFirst = before < startedAt - SAME_START_MS && last < startedAt + FIRST_START_MS;
    return last > toldAt && !isFirst && now - last >= settleMs;
  };
  return watched.length === 0 || !watched.every(hasRestarted);
}
