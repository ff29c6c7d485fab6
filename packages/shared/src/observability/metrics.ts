import {
  Counter,
  type CounterConfiguration,
  collectDefaultMetrics,
  Gauge,
  type GaugeConfiguration,
  Histogram,
  type HistogramConfiguration,
  Registry,
} from 'prom-client';

/** All metrics of ours begin so, except those of KSMScales, whose names are older than we are. */
export const METRIC_PREFIX = 'shard_controller_';
const KSM_SCALE_PREFIX = 'ksmscale_';

const NAME = new RegExp(`^(${METRIC_PREFIX}|${KSM_SCALE_PREFIX})[a-z0-9_]*[a-z0-9]$`);

/**
 * A metric that must not exist: wrong name, no help, or registered twice.
 * @remedy this is a defect: report it with the log of the process.
 */
export class MetricError extends Error {
  readonly code = 'SC_METRIC';
  override readonly name = 'MetricError';
}

/** Metrics of one process or part, in a registry of their own; nothing is registered globally. */
export interface Metrics {
  readonly registry: Registry;
  /** Value of the Content-Type header for `text`. */
  readonly contentType: string;
  counter<L extends string = string>(configuration: Omit<CounterConfiguration<L>, 'registers'>): Counter<L>;
  gauge<L extends string = string>(configuration: Omit<GaugeConfiguration<L>, 'registers'>): Gauge<L>;
  histogram<L extends string = string>(configuration: Omit<HistogramConfiguration<L>, 'registers'>): Histogram<L>;
  /** Adds `process_*` and `nodejs_*`: CPU, memory, event-loop lag, garbage collection. */
  collectProcessMetrics(): void;
  /** The exposition, in the Prometheus text format. */
  text(): Promise<string>;
  /** A row of `docs/reference/metrics.md` for each metric: name, type, labels, help. */
  describe(): readonly string[];
}

/** @throws MetricError from `counter`, `gauge` and `histogram` */
export function createMetrics(registry: Registry = new Registry()): Metrics {
  const check = (name: string, help: string): void => {
    if (!NAME.test(name)) {
      throw new MetricError(
        `metric "${name}" must begin with ${METRIC_PREFIX} or ${KSM_SCALE_PREFIX} and use only a-z, 0-9 and _`,
      );
    }
    if (help.trim() === '') throw new MetricError(`metric ${name} needs a help text that says what it counts`);
    if (registry.getSingleMetric(name) !== undefined) {
      throw new MetricError(`metric ${name} is registered already: create it once and pass it on`);
    }
  };
  return {
    registry,
    contentType: registry.contentType,
    counter: (configuration) => {
      check(configuration.name, configuration.help);
      if (!configuration.name.endsWith('_total')) {
        throw new MetricError(`counter ${configuration.name} must end with _total`);
      }
      return new Counter({ ...configuration, registers: [registry] });
    },
    gauge: (configuration) => {
      check(configuration.name, configuration.help);
      return new Gauge({ ...configuration, registers: [registry] });
    },
    histogram: (configuration) => {
      check(configuration.name, configuration.help);
      return new Histogram({ ...configuration, registers: [registry] });
    },
    collectProcessMetrics: () => collectDefaultMetrics({ register: registry }),
    text: () => registry.metrics(),
    describe: () => registry.getMetricsAsArray().map(describeMetric),
  };
}

type RegisteredMetric = ReturnType<Registry['getMetricsAsArray']>[number];

function describeMetric(metric: RegisteredMetric): string {
  const labels: unknown[] = 'labelNames' in metric && Array.isArray(metric.labelNames) ? metric.labelNames : [];
  const named = labels.map((label) => `\`${String(label)}\``).join(', ');
  return `| \`${metric.name}\` | ${String(metric.type)} | ${named} | ${metric.help} |`;
}
