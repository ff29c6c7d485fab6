import type { FeedReport } from '../data-plane/index.ts';
import { familyPrefix, ONE_PER_OBJECT } from './one-per-object.ts';
import type { SeriesCounter } from './series-counter.ts';

/** What the self-check says of one kind. */
export interface KindCheck {
  readonly resource: string;
  readonly verdict:
    | 'equal'
    /** Objects were sent that have no series, or series are left of objects that were deleted. */
    | 'differs'
    /** Too much is in progress to tell. */
    | 'unsettled'
    | 'not-checkable';
  /** Objects that the exporter was sent. */
  readonly objects: number;
  /** Series of the metric that has one per object; undefined where it was not counted. */
  readonly series: number | undefined;
  readonly reason: string;
}

/** The feeds of one kind, together. */
interface KindState {
  readonly resource: string;
  readonly objects: number;
  readonly changes: number;
  /** Why nothing can be said now, or undefined. */
  readonly unsettled: string | undefined;
  /** Why nothing can be said at all, or undefined. */
  readonly uncheckable: string | undefined;
}

export type KindStates = ReadonlyMap<string, KindState>;

/** State by kind, as `resource.group`. */
export function kindStates(feeds: readonly FeedReport[]): KindStates {
  const byKind = Map.groupBy(
    feeds.filter(({ isSharded }) => isSharded),
    ({ collection }) => collection,
  );
  return new Map([...byKind].map(([kind, group]) => [kind, kindState(group)]));
}

function kindState(feeds: readonly FeedReport[]): KindState {
  const isReadTwice =
    new Set(feeds.map(({ feed }) => feed)).size < feeds.length || feeds.some(({ watches }) => watches.length > 1);
  const isOpen = feeds.every(({ filled, watches }) => filled && watches.every(({ attached }) => attached));
  const isQueued = feeds.some(({ queuedFrames }) => queuedFrames > 0);
  const isAwaited = feeds.some(
    ({ watches }) => watches.length === 0 || watches.some(({ awaits }) => awaits !== undefined),
  );
  return {
    resource: feeds[0]?.resource ?? '',
    objects: feeds.reduce((sum, { sent }) => sum + sent, 0),
    changes: feeds.reduce((sum, { sentChanges }) => sum + sentChanges, 0),
    unsettled: !isOpen
      ? 'its feed is not open yet'
      : isQueued
        ? 'events are waiting for the exporter'
        : isAwaited
          ? 'the exporter has not come back to its watch'
          : undefined,
    uncheckable: isReadTwice
      ? 'the exporter reads it more than once, for example for custom-resource-state'
      : undefined,
  };
}

/**
 * Compares what was sent with what is exposed. `before` was taken long enough before the exposition was read that the
 * exporter has handled everything sent by then, `after` when it was read: what joined or left in between may be in it
 * or not.
 *
 * @param seen metrics that this exporter has shown before: that one is missing now is no matter of its configuration.
 */
export function compareKinds(
  before: KindStates,
  after: KindStates,
  counted: Pick<SeriesCounter, 'series' | 'has' | 'hasPrefix'>,
  seen: ReadonlySet<string>,
): KindCheck[] {
  return [...after].map(([kind, state]) => {
    const { resource, objects } = state;
    const say = (verdict: KindCheck['verdict'], reason: string, series?: number): KindCheck => ({
      resource,
      verdict,
      objects,
      series,
      reason,
    });
    const metric = ONE_PER_OBJECT.get(kind);
    if (metric === undefined) return say('not-checkable', 'no metric of this kind has one series per object');
    if (state.uncheckable !== undefined) return say('not-checkable', state.uncheckable);
    const earlier = before.get(kind);
    const unsettled = earlier === undefined ? 'its feed is new' : (earlier.unsettled ?? state.unsettled);
    if (earlier === undefined || unsettled !== undefined) return say('unsettled', unsettled ?? '');
    if (!counted.has(metric) && objects > 0) {
      if (counted.hasPrefix(familyPrefix(metric)))
        return say('not-checkable', `${metric} is not exposed (allow or deny list)`);
      if (!seen.has(metric))
        return say('not-checkable', `${metric} was never exposed (allow or deny list, or --resources)`);
    }
    const series = counted.series(metric);
    const slack = state.changes - earlier.changes;
    if (Math.abs(series - objects) <= slack)
      return say('equal', slack === 0 ? '' : `${slack} came or went meanwhile`, series);
    return say('differs', `${objects} objects were sent, ${metric} has ${series} series`, series);
  });
}
