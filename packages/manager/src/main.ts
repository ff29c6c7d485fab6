import {
  EventRecorder,
  inClusterEndpoint,
  KubernetesClient,
  type KubernetesEndpoint,
  LeaseElector,
} from '@shard-controller/shared/kubernetes';
import { EVENT_STREAM } from '@shard-controller/shared/contracts';
import { connectNats, EventStream, type NatsAuth, type NatsLink } from '@shard-controller/shared/nats';
import { createLogger, createMetrics, HealthServer, type Logger } from '@shard-controller/shared/observability';
import {
  type Component,
  type Environment,
  runComponents,
  runMain,
  systemClock,
  task,
} from '@shard-controller/shared/runtime';
import { loadManagerConfig, type ManagerConfig } from './config/index.ts';
import { kubeconfigEndpoint } from './effects/index.ts';
import { decisionEnvelopeSchema } from './event-log/index.ts';
import {
  inspectionEndpoints,
  type InspectionOptions,
  inspectionRoutes,
  inspectionService,
  isManagerGone,
} from './inspection/index.ts';
import { Leadership } from './leadership/index.ts';
import { ClusterView, ListeningPeriod, WorkerRegistry } from './observation/index.ts';
import { DecisionMetrics, Fleet } from './runner/index.ts';

const COMPONENT = 'shard-controller-manager';
/** Longest wait for one answer of the API server, ms. */
const REQUEST_TIMEOUT_MS = 10_000;
/** Time for an orderly end, ms: finish the append in progress, release the Lease. */
const GRACE_MS = 8_000;

/** The manager: follows or makes the decisions on all ShardConfigs of a namespace until `signal` aborts. */
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
    const link = await connectNats({ servers: config.nats.servers, name: config.podName, logger, ...auth(config) });
    const components = assemble({
      config,
      logger,
      client,
      link,
      health,
      decisionMetrics: new DecisionMetrics(metrics),
    });
    await runComponents(components, { signal, logger, graceMs: GRACE_MS });
    await link.close();
    await client.close();
  } finally {
    await health.stop();
  }
}

interface Parts {
  readonly config: ManagerConfig;
  readonly logger: Logger;
  readonly client: KubernetesClient;
  readonly link: NatsLink;
  readonly health: HealthServer;
  readonly decisionMetrics: DecisionMetrics;
}

function assemble({ config, logger, client, link, health, decisionMetrics }: Parts): readonly Component[] {
  const clock = systemClock;
  const leadership = new Leadership(() => elector.leading);
  const events = new EventStream({ link, stream: EVENT_STREAM, schema: decisionEnvelopeSchema });
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
    isGone: (holder, signal) =>
      isManagerGone(holder, { link, reachesLog: () => events.facts(), identity: elector.identity, clock }, signal),
    clock,
    logger,
  });
  const cluster = new ClusterView({
    client,
    namespace: config.watchNamespace,
    logger,
    clock,
    handler: {
      configChanged: (resource) => fleet.configChanged(resource),
      configInvalid: (invalid) => fleet.configInvalid(invalid),
      configRemoved: (uid) => fleet.configRemoved(uid),
      objectsChanged: (name) => fleet.objectsChanged(name),
    },
  });
  const registry = new WorkerRegistry();
  const fleet = new Fleet({
    config,
    identity: elector.identity,
    client,
    link,
    events,
    cluster,
    registry,
    listening: new ListeningPeriod(clock),
    leadership,
    recorder,
    metrics: decisionMetrics,
    clock,
    logger,
  });
  health.addLivenessCheck('decisions', async () => fleet.stuck);
  health.addReadinessCheck('kubernetes', async () =>
    cluster.isSynced ? undefined : 'ShardConfigs, ShardInstances and pods are not listed yet',
  );
  health.addReadinessCheck('nats', async () => (link.connected ? undefined : (link.status.problem ?? 'not connected')));
  const questions: InspectionOptions = {
    link,
    clock,
    identity: elector.identity,
    namespace: config.watchNamespace,
    runners: () => fleet.runners,
    worker: ({ namespace, name, uid }, shardId, replica) => {
      const view = registry.view({ namespace, config: name, shardId, replica }, uid);
      return view === undefined ? undefined : { pod: view.heartbeat.pod, objects: view.heartbeat.load.objects };
    },
  };
  const inspection = inspectionService(questions);
  if (config.inspectionHttp) {
    health.addRoutes(inspectionRoutes(inspectionEndpoints(questions), () => leadership.term !== undefined));
  }
  // Who asks while no manager leads hears "no responders" at once, instead of nothing.
  leadership.onChange((leading) => (leading ? inspection.open() : inspection.close()));
  return [
    task('event-recorder', (signal) => recorder.run(signal)),
    task('cluster-view', (signal) => cluster.run(signal)),
    { name: 'inspection', start: async () => undefined, stop: async () => inspection.stop() },
    task('fleet', (signal) => fleet.run(signal)),
    // A manager that cannot decide must not stand for election: the first lists come first.
    task('lease', async (signal) => {
      await Promise.race([cluster.synced, aborted(signal)]);
      await elector.run(signal);
    }),
  ];
}

function aborted(signal: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  if (signal.aborted) resolve();
  else signal.addEventListener('abort', () => resolve(), { once: true });
  return promise;
}

/** In a pod its own ServiceAccount; outside, the kubeconfig. */
async function endpoint(environment: Environment): Promise<KubernetesEndpoint> {
  const inCluster = (environment['KUBERNETES_SERVICE_HOST'] ?? '') !== '';
  return inCluster ? inClusterEndpoint({ env: environment }) : kubeconfigEndpoint();
}

function auth({ nats: { token, user, password } }: ManagerConfig): { readonly auth?: NatsAuth } {
  if (token !== undefined) return { auth: { kind: 'token', token } };
  if (user !== undefined) return { auth: { kind: 'user', user, password: password ?? '' } };
  return {};
}

await runMain((signal) => main(process.env, signal), {
  logger: createLogger({ name: COMPONENT }),
  graceMs: GRACE_MS + 1_500,
});
