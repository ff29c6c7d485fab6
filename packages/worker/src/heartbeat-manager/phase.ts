import type { Heartbeat } from '@shard-controller/shared/contracts';

export interface PhaseFacts {
  readonly terminated: boolean;
  readonly draining: boolean;
  /** An assignment is in force. */
  readonly assigned: boolean;
  readonly feeds: { readonly synced: number; readonly total: number };
  readonly slots: { readonly assigned: number; readonly acknowledged: number };
  readonly warm: boolean;
  /** How long the exporter has not answered, ms; 0 while it does. */
  readonly exporterUnreachableMs: number;
}

/** An exporter that is away for longer will not come back by a plain restart of its container. */
const EXPORTER_FAILED_MS = 30_000;

/**
 * A worker's phase. Pending: it has no assignment yet. Warming: the exporter does not show all of it yet, because lists
 * are still running or are being rendered. Failed: the exporter is away for good. Ending wins over everything.
 */
export function phaseOf(facts: PhaseFacts): Heartbeat['phase'] {
  if (facts.terminated) return 'Terminated';
  if (facts.draining) return 'Draining';
  if (facts.exporterUnreachableMs >= EXPORTER_FAILED_MS) return 'Failed';
  if (!facts.assigned) return 'Pending';
  const isLoaded = facts.feeds.synced >= facts.feeds.total && facts.slots.acknowledged >= facts.slots.assigned;
  return facts.warm && isLoaded ? 'Running' : 'Warming';
}
