import { randomUUID } from 'node:crypto';
import { shardInstanceName } from '@shard-controller/shared/api';
import { inClusterEndpoint, KubernetesClient, reflectorMetrics } from '@shard-controller/shared/kubernetes';
import { createMetrics, HealthServer, type Logger } from '@shard-controller/shared/observability';
import { type Clock, type Component, type Environment, runComponents, task } from '@shard-controller/shared/runtime';
import { AssignmentKeeper, followAssignments, ShardInstanceSource } from './assignment/index.ts';
import { ChangeNotifier } from './change-notifier.ts';
import type { WorkerConfig } from './config.ts';
import { Drain } from './drain.ts';
import {
  ExporterMonitor,
  Gateway,
  type GatewayState,
  gatewayState,
  ScraperTracker,
  StallGuard,
} from './exporter/index.ts';
import { HeartbeatSource, NatsPresence, Pacemaker, StatusWriter, type WorkerSnapshot } from './heartbeat-manager/index.ts';
import { isolationOf } from './isolation.ts';
import { dataPlaneMetrics, workerMetrics } from './metrics.ts';
import { NatsConnection } from './nats-connection.ts';
import { registerReadiness } from './readiness.ts';
import { createDataPlane } from './resource-processor/index.ts';
import { dataPlaneComponent } from './data-plane-component.ts';
import type { WorkerIdentity } from './worker-identity.ts';

export interface WorkerDependencies {
  readonly config: WorkerConfig;
  readonly environment: Environment;
  readonly logger: Logger;
  readonly clock: Clock;
  /** Aborts when the worker shall drain and end. */
  readonly signal: AbortSignal;
}

const LOOPBACK = '127.0.0.1';
const HEARTBEAT_MIN_GAP_MS = 50;
const CONFIRM_TIMEOUT_MS = 2000;
const STOP_GRACE_MS = 8000;

/** Builds a worker and runs it until it has drained. @throws coded errors that name the thing and the remedy. */
export async function runWorker(dependencies: WorkerDependencies): Promise<void> {
  const { config, clock, signal } = dependencies;
  const identity = identityOf(config);
  const logger = dependencies.logger.child({ shardConfig: config.SHARD_CONFIG, shard: identity.shardId });
  logger.info({ pod: identity.pod, replica: identity.replica, boot: identity.boot }, 'worker starts');
  const parts = assemble({ ...dependencies, logger }, identity);
  const end = new AbortController();
  const running = runComponents(parts.components, { signal: end.signal, logger, graceMs: STOP_GRACE_MS, clock });
  const drained = aborted(signal).then(async () => {
    await parts.drain.run();
    await parts.farewell();
    end.abort();
  });
  await Promise.race([running, drained]);
  await running;
  await parts.close();
}

function identityOf(config: WorkerConfig): WorkerIdentity {
  const { replica, shardId } = config.worker;
  return {
    namespace: config.POD_NAMESPACE,
    config: config.SHARD_CONFIG,
    uid: config.SHARD_CONFIG_UID,
    shardId,
    replica,
    pod: config.POD_NAME,
    node: config.NODE_NAME,
    revision: config.REVISION,
    boot: randomUUID(),
    shardInstance: shardInstanceName(config.SHARD_CONFIG, shardId),
  };
}

interface Parts {
  readonly components: readonly Component[];
  readonly drain: Drain;
  /** Says for the last time how this worker is. */
  readonly farewell: () => Promise<void>;
  readonly close: () => Promise<void>;
}

/** The composition of the worker: who gets what. */
function assemble({ config, environment, logger, clock }: WorkerDependencies, identity: WorkerIdentity): Parts {
  const endpoint = inClusterEndpoint({ env: environment, folder: config.SERVICE_ACCOUNT_FOLDER, clock });
  const client = new KubernetesClient({ endpoint, logger, clock, userAgent: `shard-controller-worker/${identity.pod}` });
  const metrics = createMetrics();
  metrics.collectProcessMetrics();
  const changes = new ChangeNotifier();
  const fault = config.SHARD_CONTROLLER_TEST_FAULT;
  if (fault !== undefined) logger.warn({ fault }, 'SHARD_CONTROLLER_TEST_FAULT is set: this worker misbehaves on purpose');

  const listening = Promise.withResolvers<void>();
  const dataPlane = createDataPlane({
    upstream: client,
    logger,
    clock,
    host: LOOPBACK,
    port: config.PROXY_PORT,
    firstList: 'Streamed',
    customResources: config.CUSTOM_RESOURCES,
    metrics: dataPlaneMetrics(metrics),
    fault,
    onListening: () => listening.resolve(),
  });
  dataPlane.onChange(changes.notify);

  const tracker = new ScraperTracker();
  const exposition = { bytes: 0, durationMs: 0 };
  const exporter = new ExporterMonitor({
    exporter: { host: LOOPBACK, port: config.EXPORTER_PORT },
    telemetry: { host: LOOPBACK, port: config.EXPORTER_TELEMETRY_PORT },
    clock,
    onChange: ({ state }) => {
      if (state === 'running') logger.info('the exporter answers');
      else logger.warn('the exporter does not answer: see the log of the container kube-state-metrics');
      changes.notify();
    },
  });
  const drain = new Drain({
    clock,
    logger,
    timeoutMs: config.DRAIN_TIMEOUT_MS,
    needed: () => neededFor(dataPlane.status(), source.activeReplica === identity.replica),
    changes,
  });
  drain.onChange(changes.notify);

  const keeper: AssignmentKeeper = new AssignmentKeeper({
    identity,
    dataPlane,
    logger,
    onChange: changes.notify,
    onOffer: (from, kind) => counts.offer(from, kind),
  });
  const source: ShardInstanceSource = new ShardInstanceSource({
    client,
    identity,
    keeper,
    logger,
    clock,
    metrics: reflectorMetrics(metrics.registry, 'shardinstances.shard.io'),
    onChange: changes.notify,
  });
  const guard = new StallGuard({
    clock,
    confirm: async (stop) => void (await source.read(stop, CONFIRM_TIMEOUT_MS)),
    onStall: (gapMs) => {
      counts.stall();
      logger.warn({ gapMs: Math.round(gapMs) }, 'this process had stalled: no scrape is answered until its assignment was read');
    },
    onOpen: ({ confirmed, afterMs, error }) => {
      const fields = { afterMs: Math.round(afterMs) };
      if (confirmed) logger.info(fields, 'assignment read after the stall');
      else logger.warn({ ...fields, err: error }, 'nothing answered after the stall: serving the assignment as it was');
      changes.notify();
    },
  });

  let terminated = false;
  const isolation = (): string | undefined =>
    isolationOf({ natsConnected: nats.connected, apiProofMs: apiProof() }, clock);
  const apiProof = (): number | undefined => {
    const { feeds } = dataPlane.status();
    const feedProof = feeds.total > 0 && Number.isFinite(feeds.oldestProofMs) ? clock.monotonic() - feeds.oldestProofMs : undefined;
    const proofs = [source.lastProofMs, statusWriter.writtenAt, feedProof].filter((at) => at !== undefined);
    return proofs.length === 0 ? undefined : Math.max(...proofs);
  };
  const gatewayNow = (): GatewayState => {
    const { warm, warmReason } = dataPlane.status();
    return gatewayState({
      stalled: guard.closed(),
      isolated: config.ISOLATION === 'Fence' ? isolation() : undefined,
      standby: source.activeReplica !== identity.replica,
      assigned: keeper.current !== undefined,
      unassignedReason: source.waiting,
      warm,
      warmReason,
      draining: drain.draining,
    });
  };
  const snapshot = (): WorkerSnapshot => ({
    assignment: keeper.current,
    refusal: keeper.refusal,
    dataPlane: dataPlane.status(),
    gateway: gatewayNow(),
    scrapers: tracker.scrapers(),
    exporter: exporter.state,
    exporterUnreachableMs: exporter.unreachableMs,
    exposition,
    memoryBytes: process.memoryUsage.rss() + exporter.memoryBytes,
    draining: drain.draining,
    terminated,
  });
  const heartbeats = new HeartbeatSource(identity, snapshot, clock);
  const presence = new NatsPresence({
    identity,
    dataPlane,
    heartbeat: () => heartbeats.next(),
    logger,
    onHeartbeat: (outcome) => counts.heartbeat(outcome),
    mute: fault === 'mute',
  });
  const nats = new NatsConnection({
    link: {
      servers: config.NATS_URL,
      name: identity.pod,
      ...(config.NATS_CREDENTIALS_FILE === undefined
        ? {}
        : { auth: { kind: 'credentials', file: config.NATS_CREDENTIALS_FILE } }),
      ...(config.NATS_CA_FILE === undefined ? {} : { tls: { caFile: config.NATS_CA_FILE } }),
      logger,
      clock,
    },
    logger,
    clock,
    onLink: (link) => {
      presence.join(link);
      void source.loaded.then(() => followAssignments(link, identity, keeper, link.closed));
    },
    onStatus: changes.notify,
  });
  const counts = workerMetrics(metrics, {
    snapshot,
    natsConnected: () => nats.connected,
    isolated: () => isolation() !== undefined,
  });
  const heart = new Pacemaker({
    clock,
    intervalMs: config.HEARTBEAT_INTERVAL_MS,
    minGapMs: HEARTBEAT_MIN_GAP_MS,
    beat: () => presence.beat(nats.link),
  });
  const statusWriter: StatusWriter = new StatusWriter({
    client,
    identity,
    heartbeat: heartbeats.peek,
    capacity: {
      objects: config.CAPACITY_OBJECTS,
      expositionBytes: config.CAPACITY_EXPOSITION_BYTES,
      memoryBytes: config.CAPACITY_MEMORY_BYTES,
      scrapeDurationMs: config.CAPACITY_SCRAPE_DURATION_MS,
      queueDepth: config.CAPACITY_QUEUE_DEPTH,
    },
    active: () => source.activeReplica === identity.replica,
    intervalMs: config.STATUS_INTERVAL_MS,
    clock,
    logger,
    onWrite: (outcome) => counts.statusWrite(outcome),
  });
  changes.onChange(heart.hurry);
  changes.onChange(statusWriter.consider);
