import { EventRecorder, KubernetesClient, LeaseElector } from '@shard-controller/shared/kubernetes';
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
import { kubernetesEndpoint } from './effects/index.ts';
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
      endpoint: await kubernetesEndpoint(environment),
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

/** The program does one of these; the first argument says which. */
const COMMANDS: Readonly<Record<string, (environment: Environment, signal: AbortSignal) => Promise<void>>> = {
  manager: main,
  'nats-credentials': async (environment, signal) => {
    const { makeNatsCredentials } = await import('./nats-credentials/index.ts');
    await makeNatsCredentials(environment, createLogger({ name: 'shard-controller-nats-credentials' }), signal);
  },
};

function command(name = 'manager'): (typeof COMMANDS)[string] {
  const found = COMMANDS[name];
  if (found !== undefined) return found;
  return async () => {
    throw new UnknownCommandError(`${name} is no command: choose one of ${Object.keys(COMMANDS).join(', ')}`);
  };
}

/**
 * The first argument of the manager's program is none that it knows.
 * @remedy use one of the commands that the message names, or none to run the manager.
 */
class UnknownCommandError extends Error {
  override readonly name = 'UnknownCommandError';
  readonly code = 'SC_COMMAND';
}

await runMain((signal) => command(process.argv[2])(process.env, signal), {
  logger: createLogger({ name: COMPONENT }),
  graceMs: GRACE_MS + 1_500,
});
