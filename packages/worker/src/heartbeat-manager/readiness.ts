import type { HealthServer } from '@shard-controller/shared/observability';
import type { DataPlaneStatus } from '../data-plane/index.ts';
import type { WorkerSnapshot } from './worker-snapshot.ts';

/** Why a worker is not ready, by check; undefined for a check that passes. */
export interface Readiness {
  readonly assignment: string | undefined;
  readonly exporter: string | undefined;
  readonly feeds: string | undefined;
  readonly slots: string | undefined;
  readonly exposition: string | undefined;
}

/**
 * Not ready takes no worker away from Prometheus: the metrics Service publishes addresses that are not ready, and the
 * gateway keeps serving. It keeps rollouts waiting, and people informed.
 *
 * @param waiting why there is no assignment yet. */
export function readinessOf(
  {
    assignment,
    exporter,
    dataPlane,
    mismatch,
  }: Pick<WorkerSnapshot, 'assignment' | 'exporter' | 'dataPlane' | 'mismatch'>,
  waiting: string,
): Readiness {
  const { feeds, slots } = dataPlane;
  return {
    assignment: assignment === undefined ? waiting : undefined,
    exporter: exporter.state === 'running' ? undefined : `kube-state-metrics is ${exporter.state}`,
    feeds: feedProblem(feeds) ?? staleness(dataPlane),
    slots:
      slots.acknowledged < slots.assigned
        ? `the exporter shows ${slots.acknowledged} of ${slots.assigned} assigned slots completely`
        : undefined,
    exposition: mismatch,
  };
}

/** What is wrong with feeds that were open and are deaf, or undefined. Without figures that change all the time. */
export function staleness({ staleFeeds = [] }: Pick<DataPlaneStatus, 'staleFeeds'>): string | undefined {
  if (staleFeeds.length === 0) return undefined;
  const which = staleFeeds.length === 1 ? staleFeeds[0] : `${staleFeeds[0]} and ${staleFeeds.length - 1} more feeds`;
  return `no sign of progress from the API server for ${which}: served series may be out of date`;
}

function feedProblem({ synced, total }: { readonly synced: number; readonly total: number }): string | undefined {
  if (total === 0) return 'the exporter has not asked for any resource yet';
  return synced < total ? `${synced} of ${total} feeds from the API server are open` : undefined;
}

/** Registers a readiness check per reason. */
export function registerReadiness(health: HealthServer, readiness: () => Readiness): void {
  const names: readonly (keyof Readiness)[] = ['assignment', 'exporter', 'feeds', 'slots', 'exposition'];
  for (const name of names) health.addReadinessCheck(name, () => Promise.resolve(readiness()[name]));
}
