import type { FeedState } from '../books/index.ts';
import type { DataPlaneMetrics } from './data-plane-metrics.ts';

/** Adds what went through a feed since the last report to the counters. */
export function reportTraffic(
  state: FeedState,
  resource: string,
  metrics: Partial<DataPlaneMetrics> | undefined,
): void {
  const { received, kept, receivedBytes, keptBytes } = state.takeTraffic();
  if (received === 0 && kept === 0) return;
  metrics?.frames?.(resource, received, kept);
  metrics?.bytes?.(resource, receivedBytes, keptBytes);
  if (state.pruner === undefined) return;
  metrics?.cut?.(resource, state.pruner.prunedBytes);
  state.pruner.prunedBytes = 0;
}
