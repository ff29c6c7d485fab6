import { inClusterEndpoint, KubernetesClient, reflectorMetrics } from '@shard-controller/shared/kubernetes';
import { createMetrics, type Logger, type Metrics } from '@shard-controller/shared/observability';
import { aborted, type Clock, type Component, type Environment, task } from '@shard-controller/shared/runtime';
import { AssignmentKeeper, AssignmentNotices, ShardInstanceSource } from './assignment/index.ts';
import { ChangeNotifier } from './change-notifier.ts';
import { ConfigEnd } from './config-end.ts';
import type { WorkerConfig } from './config.ts';
import { createDataPlane, type DataPlane } from './data-plane/index.ts';
import { Drain } from './drain.ts';
import { ExporterMonitor, exporterReports, Gateway, ScraperTracker, StallGuard } from './exporter/index.ts';
import {
  ChangeDetector,
  HeartbeatSource,
  NatsPresence,
  NatsProof,
  PeriodicLoop,
  showedEverything,
  StatusWriter,
  unavailableIn,
} from './heartbeat-manager/index.ts';
import { dataPlaneMetrics, type WorkerMetrics, workerMetrics } from './metrics.ts';
import { NatsConnection } from './nats-connection.ts';
import { SelfCheck } from './self-check/index.ts';
import { capacityOf, natsConfig } from './settings.ts';
import { stallRecovery } from './stall-recovery.ts';
import type { WorkerIdentity } from './worker-identity.ts';
import { watchProxy, workerHealth } from './worker-servers.ts';
import { WorkerState } from './worker-state.ts';

const LOOPBACK = '127.0.0.1';
const HEARTBEAT_MIN_GAP_MS = 50;

export interface WorkerOptions {
  readonly config: WorkerConfig;
  readonly environment: Environment;
  readonly logger: Logger;
  readonly clock: Clock;
  readonly identity: WorkerIdentity;
}

/** The composition of a worker: which part gets what, and in which order they start. */
export class Worker {
  readonly #options: WorkerOptions;
  readonly #changes = new ChangeNotifier();
  readonly #metrics: Metrics;
  readonly #client: KubernetesClient;
  readonly #listening = Promise.withResolvers<void>();
  readonly #dataPlane: DataPlane;
  readonly #tracker = new ScraperTracker();
  readonly #exporter: ExporterMonitor;
  readonly #selfCheck: SelfCheck;
  readonly #drain: Drain;
  readonly #configEnd: ConfigEnd;
  readonly #source: ShardInstanceSource;
  readonly #notices: AssignmentNotices;
  readonly #guard: StallGuard;
  readonly #presence: NatsPresence;
  readonly #nats: NatsConnection;
  readonly #natsProof: NatsProof;
  readonly #heartbeats: PeriodicLoop;
  readonly #statusWriter: StatusWriter;
  readonly #state: WorkerState;
  readonly #counts: WorkerMetrics;

  constructor(options: WorkerOptions) {
    const { config, clock, logger, identity } = options;
    this.#options = options;
    this.#metrics = createMetrics();
    this.#metrics.collectProcessMetrics();
    this.#client = new KubernetesClient({
      endpoint: inClusterEndpoint({ env: options.environment, folder: config.SERVICE_ACCOUNT_FOLDER, clock }),
      logger,
      clock,
      userAgent: `shard-controller-worker/${identity.pod}`,
    });
    this.#dataPlane = this.#newDataPlane();
    this.#exporter = this.#newExporterMonitor();
    this.#selfCheck = this.#newSelfCheck();
    this.#configEnd = new ConfigEnd({
      client: this.#client,
      identity,
      clock,
      instanceEnded: () => this.#source.ended,
      onChange: this.#changes.notify,
    });
    this.#drain = new Drain({
      clock,
      logger,
      timeoutMs: config.DRAIN_TIMEOUT_MS,
      needed: () => this.#state.needed(),
      over: () => this.#configEnd.reason,
      changes: this.#changes,
    });
    const keeper = new AssignmentKeeper({
      identity,
      dataPlane: this.#dataPlane,
      logger,
      onChange: this.#changes.notify,
      onOffer: (from, kind) => this.#counts.offer(from, kind),
    });
    this.#source = new ShardInstanceSource({
      client: this.#client,
      identity,
      keeper,
      logger,
      clock,
      metrics: reflectorMetrics(this.#metrics.registry, 'shardinstances.shard.io'),
      onPast: (status) => {
        if (!showedEverything(status)) this.#dataPlane.distrustExporter();
        this.#dataPlane.presumeUnavailable(unavailableIn(status));
      },
      onChange: this.#changes.notify,
    });
    this.#notices = new AssignmentNotices({
      identity,
      keeper,
      source: this.#source,
      clock,
      logger,
      onChange: this.#changes.notify,
    });
    this.#guard = this.#newStallGuard(keeper);
    this.#state = new WorkerState({
      identity,
      clock,
      isolationFences: config.ISOLATION === 'Fence',
      dataPlane: this.#dataPlane,
      keeper,
      source: this.#source,
      notices: this.#notices,
      guard: this.#guard,
      exporter: this.#exporter,
      selfCheck: this.#selfCheck,
      tracker: this.#tracker,
      drain: this.#drain,
      natsConnected: () => this.#nats.connected,
      statusWrittenAt: () => this.#statusWriter.writtenAt,
    });
    const heartbeats = new HeartbeatSource(identity, this.#state.snapshot, clock);
    this.#presence = new NatsPresence({
      identity,
      dataPlane: this.#dataPlane,
      heartbeat: () => heartbeats.next(),
      logger,
      onHeartbeat: (outcome) => this.#counts.heartbeat(outcome),
    });
    this.#nats = this.#newNatsConnection();
    this.#natsProof = new NatsProof({
      clock,
      onChange: (delivers) => {
        if (!delivers) this.#statusWriter.trigger();
      },
    });
    this.#heartbeats = new PeriodicLoop({
      clock,
      intervalMs: () => config.HEARTBEAT_INTERVAL_MS,
      minGapMs: HEARTBEAT_MIN_GAP_MS,
      beat: () => {
        this.#presence.beat(this.#nats.link);
        this.#natsProof.beat(this.#nats.link);
      },
    });
    this.#statusWriter = new StatusWriter({
      client: this.#client,
      identity,
      heartbeat: heartbeats.peek,
      capacity: capacityOf(config),
      active: () => this.#state.active,
      intervalMs: config.STATUS_INTERVAL_MS,
      alone: () => !this.#natsProof.delivers,
      clock,
      logger,
      onWrite: (outcome) => this.#counts.statusWrite(outcome),
    });
    this.#counts = workerMetrics(this.#metrics, {
      snapshot: this.#state.snapshot,
      feeds: () => this.#dataPlane.inspection.feeds(),
      totals: () => this.#dataPlane.inspection.totals(),
      mismatches: () => this.#selfCheck.mismatches,
      natsConnected: () => this.#nats.connected,
      isolated: () => this.#state.isolation() !== undefined,
    });
    this.#dataPlane.onChange(this.#changes.notify);
    this.#drain.onChange(this.#changes.notify);
    const detector = new ChangeDetector(heartbeats.peek, (heartbeat) => {
      this.#heartbeats.trigger();
      this.#statusWriter.consider(heartbeat);
    });
    this.#changes.onChange(detector.notice);
  }

  /** In the order of their start; the first one that fails ends the worker. */
  components(): Component[] {
    return [
      workerHealth({
        config: this.#options.config,
        logger: this.#options.logger,
        metrics: this.#metrics,
        drain: this.#drain,
        dataPlane: this.#dataPlane,
        selfCheck: this.#selfCheck,
        snapshot: this.#state.snapshot,
        waiting: () => this.#source.waiting,
      }),
      watchProxy(this.#dataPlane, this.#listening.promise),
      this.#gateway(),
      task('stall-guard', (signal) => this.#guard.run(signal)),
      task('exporter-monitor', (signal) => this.#exporter.run(signal)),
      task('self-check', (signal) => this.#selfCheck.run(signal)),
      task('shard-instance', (signal) => this.#source.run(signal)),
      task('nats', (signal) => this.#nats.run(signal)),
      task('heartbeat', (signal) => this.#heartbeats.run(signal)),
      task('status', async (signal) => {
        await Promise.race([this.#source.loaded, aborted(signal)]);
        await this.#statusWriter.run(signal);
      }),
    ];
  }

  /** Serves until nothing depends on this worker, or no worker will take its slots; then sends a last heartbeat. */
  async drain(): Promise<void> {
    const drained = new AbortController();
    void this.#configEnd.run(drained.signal);
    await this.#drain.run();
    drained.abort();
    this.#state.terminate();
    this.#presence.beat(this.#nats.link);
    if (this.#statusWriter.writtenAt !== undefined) await this.#statusWriter.last();
  }

  async close(): Promise<void> {
    await this.#client.close();
  }

  #newDataPlane(): DataPlane {
    const { config, logger, clock } = this.#options;
    const fault = config.SHARD_CONTROLLER_TEST_FAULT;
    if (fault !== undefined) logger.warn({ fault }, 'SHARD_CONTROLLER_TEST_FAULT is set: this worker fails on purpose');
    return createDataPlane({
      upstream: this.#client,
      logger,
      clock,
      host: LOOPBACK,
      port: config.PROXY_PORT,
      clientPort: config.CLIENT_PORT,
      customResources: config.CUSTOM_RESOURCES,
      pruning: { version: config.EXPORTER_VERSION, annotationAllowList: config.ANNOTATION_ALLOW_LIST },
      metrics: dataPlaneMetrics(this.#metrics),
      pushdown: config.PUSHDOWN,
      fault,
      onListening: () => this.#listening.resolve(),
    });
  }

  #newExporterMonitor(): ExporterMonitor {
    const { config, logger, clock } = this.#options;
    const where = `kube-state-metrics at ${LOOPBACK}:${config.EXPORTER_PORT}`;
    return new ExporterMonitor({
      exporter: { host: LOOPBACK, port: config.EXPORTER_PORT },
      telemetry: { host: LOOPBACK, port: config.EXPORTER_TELEMETRY_PORT },
      clock,
      ...exporterReports(where, logger, this.#changes.notify),
    });
  }

  #newSelfCheck(): SelfCheck {
    const { config, logger, clock } = this.#options;
    return new SelfCheck({
      exporter: { host: LOOPBACK, port: config.EXPORTER_PORT },
      feeds: () => this.#dataPlane.inspection.feeds(),
      shown: () => this.#state.shown(),
      intervalMs: config.SELF_CHECK_INTERVAL_MS,
      clock,
      logger,
      onChange: this.#changes.notify,
    });
  }

  #newStallGuard(keeper: AssignmentKeeper): StallGuard {
    const { logger, clock, identity } = this.#options;
    const recovery = stallRecovery({
      identity,
      source: this.#source,
      assignment: () => keeper.current,
      link: () => this.#nats.link,
      hasStandby: () => this.#state.hasStandby,
      logger,
      onStall: () => this.#counts.stall(),
      onOpen: this.#changes.notify,
    });
    return new StallGuard({ clock, ...recovery });
  }

  #newNatsConnection(): NatsConnection {
    const { config, logger, clock, identity } = this.#options;
    return new NatsConnection({
      link: { ...natsConfig(config), name: identity.pod, logger, clock },
      logger,
      clock,
      onLink: (link) => {
        this.#presence.join(link);
        // Before the first consistent read of the ShardInstance there is nothing to compare a message with.
        this.#source.loaded
          .then(() => this.#notices.follow(link, link.closed))
          .catch((error: unknown) => logger.error({ err: error }, 'assignments on NATS are no longer followed'));
      },
      onStatus: (connected) => {
        if (connected) this.#heartbeats.trigger();
        else this.#natsProof.lost();
        this.#changes.notify();
      },
    });
  }

  #gateway(): Component {
    const { config, logger, clock } = this.#options;
    const gateway = new Gateway({
      host: config.LISTEN_HOST,
      port: config.GATEWAY_PORT,
      exporter: { host: LOOPBACK, port: config.EXPORTER_PORT },
      state: this.#state.gateway,
      changes: this.#changes,
      tracker: this.#tracker,
      reports: {
        scrape: this.#counts.scrape,
        held: this.#counts.held,
        exposition: (bytes, durationMs) => this.#state.served(bytes, durationMs),
        exporterReachable: (reachable) => this.#exporter.report(reachable),
      },
      limits: { holdMs: config.SCRAPE_HOLD_MS, concurrent: config.MAX_SCRAPES },
      clock,
      logger,
    });
    return { name: 'gateway', start: () => gateway.start(), stop: () => gateway.stop() };
  }
}
