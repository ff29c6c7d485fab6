import {
  EventRecorder,
  inClusterEndpoint,
  KubernetesClient,
  type KubernetesEndpoint,
  LeaseElector,
} from '@shard-controller/shared/kubernetes';
import { connectNats, type NatsLink } from '@shard-controller/shared/nats';
import {
  createLogger,
  createMetrics,
  HealthServer,
  type Logger,
  type Metrics,
} from '@shard-controller/shared/observability';
import {
  aborted,
  type Component,
  type Environment,
  runComponents,
  runMain,
  systemClock,
  task,
} from '@shard-controller/shared/runtime';
import { loadManagerConfig, type ManagerConfig } from './config/index.ts';
import { kubeconfigEndpoint } from './effects/index.ts';
import { ksmScalePart } from './ksm-scale-part.ts';
import { Leadership } from './leadership/index.ts';
import type { PartInput } from './part.ts';
import { shardConfigPart } from './shard-config-part.ts';

const COMPONENT = 'shard-controller-manager';
/** Longest wait for one answer of the API server, ms. */
const REQUEST_TIMEOUT_MS = 10_000;
/** Time for an orderly end, ms: finish the append in progress, release the Lease. */
const GRACE_MS = 8_000;

/** The manager: follows or makes the decisions on all ShardConfigs and KSMScales until `signal` aborts. */
async function main(environment: Environment, signal: AbortSignal): Promise<void> {
  const config = loadManagerConfig(environment);
  const logger = createLogger({ name: COMPONENT, level: config.logLevel });
  const metrics = createMetrics();
  metrics.collectProcessMetrics();
  const health = new HealthServer({ port: config.httpPort, portVariable: 'HTTP_PORT', logger, metrics });
  // First of all: a port that is taken should not show as a half-started manager.
  await health.start();
  try {
    const client = new KubernetesClient({
      endpoint: await endpoint(environment),
      logger,
      userAgent: COMPONENT,
      requestTimeoutMs: REQUEST_TIMEOUT_MS,
    });
    const link = config.shardConfigs.enabled
      ? await connectNats({ servers: config.nats.servers, name: config.podName, logger, ...config.nats.access })
      : undefined;
    const components = assemble({ config, logger, client, link, health, metrics });
    await runComponents(components, { signal, logger, graceMs: GRACE_MS });
    await link?.close();
    await client.close();
  } finally {
    await health.stop();
  }
}

interface Process {
  readonly config: ManagerConfig;
  readonly logger: Logger;
  readonly client: KubernetesClient;
  /** Undefined without ShardConfigs. */
  readonly link: NatsLink | undefined;
  readonly health: HealthServer;
  readonly metrics: Metrics;
}

function assemble({ config, logger, client, link, health, metrics }: Process): readonly Component[] {
  const clock = systemClock;
  const leadership = new Leadership(() => elector.leading);
  const recorder = new EventRecorder({
    client,
    logger,
    controller: 'shard.io/shard-controller',
    instance: config.podName,
    clock,
  });
  const elector = new LeaseElector({
    client,
    namespace: config.namespace,
    name: config.lease.name,
    identity: config.podName,
    leaseDurationMs: config.lease.durationMs,
    renewDeadlineMs: config.lease.renewDeadlineMs,
    retryPeriodMs: config.lease.retryPeriodMs,
    onStarted: (term, number) => leadership.begin(term, number),
    onStopped: () => leadership.end(),
    isGone: async (holder, signal) => shardConfigs?.isGone(holder, signal) ?? false,
    clock,
    logger,
  });
  const input: PartInput = {
    config,
    identity: elector.identity,
    client,
    leadership,
    recorder,
    health,
    metrics,
    clock,
    logger,
  };
  const shardConfigs = link === undefined ? undefined : shardConfigPart(input, link);
  const parts = [shardConfigs, config.ksmScales.enabled ? ksmScalePart(input) : undefined].filter(
    (part) => part !== undefined,
  );
  return [
    task('event-recorder', (signal) => recorder.run(signal)),
    ...parts.flatMap(({ components }) => components),
    // A manager that cannot decide must not stand for election: the first lists come first.
    task('lease', async (signal) => {
      await Promise.race([Promise.all(parts.map(({ synced }) => synced)), aborted(signal)]);
      await elector.run(signal);
    }),
  ];
}

/** In a pod its own ServiceAccount; outside, the kubeconfig. */
async function endpoint(environment: Environment): Promise<KubernetesEndpoint> {
  const inCluster = (environment['KUBERNETES_SERVICE_HOST'] ?? '') !== '';
  return inCluster ? inClusterEndpoint({ env: environment }) : kubeconfigEndpoint();
}

await runMain((signal) => main(process.env, signal), {
  logger: createLogger({ name: COMPONENT }),
  graceMs: GRACE_MS + 1_500,
});
