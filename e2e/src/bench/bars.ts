import type { Results } from './results.ts';
import { type Summary, summaryOf } from './summary.ts';

/** What a figure is held against. */
interface Bar {
  readonly what: string;
  readonly figure: keyof Summary;
  readonly least?: number;
  readonly most?: number;
  readonly unit: string;
}

const BARS: readonly Bar[] = [
  { what: 'series missing in a resize', figure: 'resizeMissingMax', most: 0, unit: '' },
  { what: 'filter alone, protobuf', figure: 'filterProtobufObjectsPerSecond', least: 1_000_000, unit: ' objects/s' },
  { what: 'filter alone, JSON', figure: 'filterJsonObjectsPerSecond', least: 200_000, unit: ' objects/s' },
  { what: 'worker CPU per frame received', figure: 'workerCpuMicrosPerFrame', most: 20, unit: ' us' },
  { what: 'worker CPU per frame kept', figure: 'workerCpuMicrosPerKeptFrame', most: 40, unit: ' us' },
  { what: "worker CPU at start / exporter's, one worker", figure: 'startWorkerCpuRatio', most: 0.3, unit: 'x' },
  { what: '  without what it uses to boot', figure: 'startWorkerCpuRatioWithoutBoot', most: 0.3, unit: 'x' },
  { what: 'freshness p99 over KSM', figure: 'freshnessP99AddedMs', most: 50, unit: ' ms' },
  { what: 'worker RSS, five times the objects, a quarter owned', figure: 'workerRssMiB', most: 160, unit: ' MiB' },
  { what: '  the same with pushdown', figure: 'workerRssPushdownMiB', most: 120, unit: ' MiB' },
  { what: "exporter's peak memory at start / KSM's", figure: 'exporterPeakMemoryRatio', most: 0.7, unit: 'x' },
  { what: 'bytes per worker with pushdown / full stream', figure: 'pushdownBytesShare', most: 0.383, unit: 'x' },
  { what: 'bytes per moved object / its size, small moves', figure: 'movedObjectBytesRatio', most: 3, unit: 'x' },
];

/** Bar, figure and verdict of each. A bar is meant for 20,000 objects and 200 changes/s. */
export function barRows(results: Results): readonly (readonly string[])[] {
  const summary = summaryOf(results);
  return BARS.map(({ what, figure, least, most, unit }) => {
    const value = summary[figure];
    const bar = least === undefined ? `<= ${String(most)}${unit}` : `>= ${least}${unit}`;
    if (value === null) return [what, bar, '-', 'not measured'];
    const met = value >= (least ?? -Infinity) && value <= (most ?? Infinity);
    return [what, bar, `${value}${unit}`, met ? 'met' : 'MISSED'];
  });
}
