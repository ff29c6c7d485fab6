import type { Heartbeat } from '@shard-controller/shared/contracts';

/** What load 1.0 means, per measure; a measure that is not set does not count. */
export interface Capacity {
  readonly objects: number | undefined;
  readonly expositionBytes: number | undefined;
  readonly memoryBytes: number | undefined;
  readonly scrapeDurationMs: number | undefined;
  readonly queueDepth: number | undefined;
}

/** The largest ratio of a measure to its capacity, to three digits; undefined when no capacity is set. */
export function loadRatio(load: Heartbeat['load'], capacity: Capacity): number | undefined {
  const ratios = (
    [
      [load.objects, capacity.objects],
      [load.expositionBytes, capacity.expositionBytes],
      [load.memoryBytes, capacity.memoryBytes],
      [load.scrapeDurationMs, capacity.scrapeDurationMs],
      [load.queueDepth, capacity.queueDepth],
    ] as const
  ).flatMap(([value, limit]) => (limit === undefined ? [] : [value / limit]));
  return ratios.length === 0 ? undefined : Math.round(Math.max(...ratios) * 1000) / 1000;
}
