import type { KsmScaleStatus } from '@shard-controller/shared/api';
import type { Metrics } from '@shard-controller/shared/observability';

const LABELS = ['ksmscale'] as const;

/** Metrics of KSMScales. Only the leader has series of them. */
export class KsmScaleMetrics {
  readonly #gauges;
  readonly #seconds;
  readonly #errors;
  readonly #podChanges;

  constructor(metrics: Metrics) {
    const gauge = (name: string, help: string) => metrics.gauge({ name, help, labelNames: LABELS });
    this.#gauges = {
      active: gauge('ksmscale_shards_active', 'Shards with a Ready pod.'),
      total: gauge('ksmscale_shards_total', 'Shards of a sharded KSMScale.'),
      configured: gauge(
        'ksmscale_configured_shards',
        'Shards that the objects are divided over; the same as ksmscale_shards_total.',
      ),
      coverage: gauge('ksmscale_coverage_percent', 'Percentage of the shards that have a Ready pod.'),
      nodes: gauge('ksmscale_nodes', 'Nodes of the cluster.'),
      desired: gauge('ksmscale_desired_replicas', 'Pods that should run.'),
      current: gauge('ksmscale_current_replicas', 'Pods that run, terminating and failed ones not counted.'),
      warning: gauge('ksmscale_sharding_warning', '1 while the number of shards does not fit the number of nodes.'),
    };
    this.#seconds = metrics.histogram({
      name: 'ksmscale_reconcile_duration_seconds',
      help: 'Duration of one pass over a KSMScale, its requests included.',
      labelNames: LABELS,
      buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
    });
    this.#errors = metrics.counter({
      name: 'ksmscale_reconcile_errors_total',
      help: 'Requests of passes that failed.',
      labelNames: LABELS,
    });
    this.#podChanges = metrics.counter({
      name: 'ksmscale_pod_changes_total',
      help: 'Pods that were created or deleted.',
      labelNames: [...LABELS, 'change'],
    });
  }

  passed(ksmscale: string, seconds: number, errors: number): void {
    this.#seconds.observe({ ksmscale }, seconds);
    this.#errors.inc({ ksmscale }, errors);
  }

  podsChanged(ksmscale: string, change: 'created' | 'deleted', count: number): void {
    this.#podChanges.inc({ ksmscale, change }, count);
  }

  show(
    ksmscale: string,
    { nodeCount = 0, desiredReplicas = 0, currentReplicas = 0, shardingStatus, conditions }: KsmScaleStatus,
  ): void {
    const { nodes, desired, current, active, total, configured, coverage, warning } = this.#gauges;
    nodes.set({ ksmscale }, nodeCount);
    desired.set({ ksmscale }, desiredReplicas);
    current.set({ ksmscale }, currentReplicas);
    if (shardingStatus === undefined) {
      for (const gauge of [active, total, configured, coverage, warning]) gauge.remove({ ksmscale });
      return;
    }
    active.set({ ksmscale }, shardingStatus.activeShards);
    total.set({ ksmscale }, shardingStatus.totalShards);
    configured.set({ ksmscale }, shardingStatus.configuredShards);
    coverage.set({ ksmscale }, shardingStatus.coveragePercent);
    const isOff = conditions?.some(({ type, status }) => type === 'Efficient' && status === 'False') === true;
    warning.set({ ksmscale }, isOff ? 1 : 0);
  }

  remove(ksmscale: string): void {
    for (const gauge of Object.values(this.#gauges)) gauge.remove({ ksmscale });
  }

  /** At the end of leading: the next leader shows them. */
  reset(): void {
    for (const gauge of Object.values(this.#gauges)) gauge.reset();
  }
}
