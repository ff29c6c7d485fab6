import { EVENT_STREAM } from '@shard-controller/shared/contracts';
import { EventStream, type NatsLink } from '@shard-controller/shared/nats';
import { task } from '@shard-controller/shared/runtime';
import { decisionEnvelopeSchema } from './event-log/index.ts';
import {
  inspectionEndpoints,
  type InspectionOptions,
  inspectionRoutes,
  inspectionService,
  isManagerGone,
} from './inspection/index.ts';
import { NatsAuthenticator, PodTokens } from './nats-access/index.ts';
import { ClusterView, ListeningPeriod, WorkerRegistry } from './observation/index.ts';
import type { Part, PartInput } from './part.ts';
import { DecisionMetrics, Fleet } from './runner/index.ts';

/** Runs ShardConfigs: decisions in a log on NATS, workers in the cluster. */
export function shardConfigPart(
  input: PartInput,
  link: NatsLink,
): Part & { readonly isGone: (holder: string, signal: AbortSignal) => Promise<boolean> } {
  const { config, identity, client, leadership, recorder, health, metrics, clock, logger } = input;
  const events = new EventStream({ link, stream: EVENT_STREAM, schema: decisionEnvelopeSchema });
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
    identity,
    client,
    link,
    events,
    cluster,
    registry,
    listening: new ListeningPeriod(clock),
    leadership,
    recorder,
    metrics: new DecisionMetrics(metrics),
    clock,
    logger,
  });
  authenticator(input, cluster)?.join(link);
  health.addLivenessCheck('decisions', async () => fleet.stuck);
  health.addReadinessCheck('kubernetes', async () =>
    cluster.isSynced ? undefined : 'ShardConfigs, ShardInstances and pods are not listed yet',
  );
  health.addReadinessCheck('nats', async () => (link.connected ? undefined : (link.status.problem ?? 'not connected')));
  const questions: InspectionOptions = {
    link,
    clock,
    identity,
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
  return {
    synced: cluster.synced,
    isGone: (holder, signal) =>
      isManagerGone(holder, { link, reachesLog: () => events.facts(), identity, clock }, signal),
    components: [
      task('cluster-view', (signal) => cluster.run(signal)),
      { name: 'inspection', start: async () => undefined, stop: async () => inspection.stop() },
      task('fleet', (signal) => fleet.run(signal)),
    ],
  };
}

/** Where NATS asks the managers who its clients are. */
function authenticator(
  { config, client, clock, logger }: PartInput,
  cluster: ClusterView,
): NatsAuthenticator | undefined {
  const { nats, worker, watchNamespace: namespace } = config;
  if (nats.callout === undefined) return undefined;
  return new NatsAuthenticator({
    ...nats.callout,
    tokens: new PodTokens({ client, audience: worker.nats.audience, clock }),
    workerOf: (uid) => cluster.worker(uid),
    namespace,
    serviceAccount: worker.serviceAccount,
    clock,
    logger,
  });
}
