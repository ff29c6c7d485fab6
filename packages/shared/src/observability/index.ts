export {
  type HealthCheck,
  type HealthRoute,
  HealthServer,
  type HealthServerOptions,
} from './health-server.ts';
export { createLogger, LOG_LEVELS, type Logger, type LoggerOptions, type LogLevel } from './logger.ts';
export { createMetrics, METRIC_PREFIX, MetricError, type Metrics } from './metrics.ts';
