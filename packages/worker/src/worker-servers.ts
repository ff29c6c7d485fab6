import { HealthServer, type Logger, type Metrics } from '@shard-controller/shared/observability';
import { type Component, task } from '@shard-controller/shared/runtime';
import type { WorkerConfig } from './config.ts';
import type { DataPlane } from './data-plane/index.ts';
import { shardEndpoint } from './debug/index.ts';
import type { Drain } from './drain.ts';
import { readinessOf, registerReadiness, type WorkerSnapshot } from './heartbeat-manager/index.ts';
import type { SelfCheck } from './self-check/index.ts';

export interface WorkerHealthParts {
  readonly config: Pick<WorkerConfig, 'HEALTH_PORT' | 'LISTEN_HOST' | 'DEBUG_ENDPOINTS'>;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly drain: Pick<Drain, 'wait'>;
  readonly dataPlane: Pick<DataPlane, 'inspection'>;
  readonly selfCheck: SelfCheck;
  readonly snapshot: () => WorkerSnapshot;
  /** Why there is no assignment yet. */
  readonly waiting: () => string;
}

/** Health, metrics, the pod's lifecycle hook, and what people may ask. */
export function workerHealth(parts: WorkerHealthParts): HealthServer {
  const { config, logger, metrics, drain, dataPlane, selfCheck, snapshot, waiting } = parts;
  const { inspection } = dataPlane;
  const debug = config.DEBUG_ENDPOINTS
    ? [['/debug/shard', shardEndpoint({ inspection, snapshot, selfCheck })] as const]
    : [];
  const health = new HealthServer({
    port: config.HEALTH_PORT,
    ...(config.LISTEN_HOST === undefined ? {} : { host: config.LISTEN_HOST }),
    portVariable: 'HEALTH_PORT',
    logger,
    metrics,
    routes: new Map([['/drain/wait', drain.wait], ...debug]),
  });
  registerReadiness(health, () => readinessOf(snapshot(), waiting()));
  return health;
}

/** The data plane as a part of the worker: it has started when its endpoint listens. */
export function watchProxy(dataPlane: Pick<DataPlane, 'run'>, listening: Promise<void>): Component {
  const running = task('watch-proxy', (signal) => dataPlane.run(signal));
  return {
    name: running.name,
    start: async (signal) => {
      await running.start(signal);
      await Promise.race([listening, running.ended]);
    },
    stop: () => running.stop(),
    get ended() {
      return running.ended ?? Promise.resolve();
    },
  };
}
