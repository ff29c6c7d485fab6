import type { HealthServer } from '@shard-controller/shared/observability';
import type { WorkerSnapshot } from './heartbeat-manager/index.ts';

/** Why a worker is not ready, by check; undefined for a check that passes. */
export interface Readiness {
  readonly assignment: string | undefined;
  readonly exporter: string | undefined;
  readonly feeds: string | undefined;
  readonly slots: string | undefined;
}

/** @param waiting why there is no assignment yet. */
export function readinessOf(
  { assignment, exporter, dataPlane }: Pick<WorkerSnapshot, 'assignment' | 'exporter' | 'dataPlane'>,
  waiting: string,
): Readiness {
  const { feeds, slots } = dataPlane;
  return {
    assignment: assignment === undefined ? waiting : undefined,
    exporter: exporter.state === 'running' ? undefined : `kube-state-metrics is ${exporter.state}`,
    feeds: feedProblem(feeds),
    slots:
      slots.acknowledged < slots.assigned
        ? `the exporter shows ${slots.acknowledged} of ${slots.assigned} assigned slots completely`
        : undefined,
  };
}

function feedProblem({ synced, total }: { readonly synced: number; readonly total: number }): string | undefined {
  if (total === 0) return 'the exporter has not asked for any resource yet';
  return synced < total ? `${synced} of ${total} feeds from the API server are open` : undefined;
}

/** Registers a readiness check per reason. */
export function registerReadiness(health: HealthServer, readiness: () => Readiness): void {
  const names: readonly (keyof Readiness)[] = ['assignment', 'exporter', 'feeds', 'slots'];
  for (const name of names) health.addReadinessCheck(name, () => Promise.resolve(readiness()[name]));
}
