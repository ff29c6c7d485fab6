import type { KubernetesObject } from '@shard-controller/shared/kubernetes';
import type { Logger } from '@shard-controller/shared/observability';
import { Wakeup } from '@shard-controller/shared/runtime';
import type { CommandBody, CommandContext, ShardConfigState } from '../aggregate/index.ts';
import { describeStatus, desired } from '../decision/index.ts';
import {
  AssignmentPublisher,
  assignmentValues,
  type ManagerHold,
  Reconciler,
  retryStatefulSet,
  StatusWriter,
  teardown,
} from '../effects/index.ts';
import type { ConfigIdentity } from '../naming/index.ts';
import { PodWatch, type ShardSources, wantedPods } from '../observation/index.ts';
import { ConfigInputs } from './config-inputs.ts';
import type { RunnerContext } from './context.ts';
import type { ConfigHead, ConfigLog, DecisionLog } from './decision-log.ts';
import { DecisionReport } from './decision-report.ts';
import { DecisionTime } from './decision-time.ts';
import { EffectsLoop } from './effects-loop.ts';
import { InstanceReads } from './instance-reads.ts';
import { moveEnds, observedCommands, scraperCommands, shardsToRead } from './observed-commands.ts';
import { ReleaseProofs } from './release-proofs.ts';
import { ShardInputs } from './shard-inputs.ts';
import { ensureStreams } from './streams.ts';
import { TermLog } from './term-log.ts';
import { Verifications } from './verifications.ts';

/** Decisions make further decisions possible; this many looks follow each other before the next pause. */
const MAX_LOOKS = 12;
/** Wait before a log that could not be read or written is tried again, ms. */
const RETRY_MS = 300;
/** The same by what has failed, ms: a log that this version cannot read only another version of the manager can. */
const FAILURE_RETRY_MS = { NatsUnavailable: RETRY_MS, CannotDecide: 900, LogUnreadable: 15_000 };

export interface LeadingTermOptions {
  readonly context: RunnerContext;
  readonly config: ConfigIdentity;
  readonly log: ConfigLog;
  readonly logger: Logger;
  readonly term: number;
  /** Head that was followed on standby. */
  readonly warm: ConfigHead | undefined;
  /** Aborts when the ShardConfig is gone. */
  readonly removed: AbortSignal;
  readonly regarding: KubernetesObject;
}

/** One ShardConfig during one term of leadership: observes, decides, and triggers the effects. */
export class LeadingTerm {
  readonly #options: LeadingTermOptions;
  readonly #context: RunnerContext;
  readonly #logger: Logger;
  readonly #decideWakeup: Wakeup;
  readonly #effectsWakeup: Wakeup;
  readonly #time: DecisionTime;
  readonly #log: TermLog;
  readonly #configInputs: ConfigInputs;
  readonly #shardInputs: ShardInputs;
  readonly #report: DecisionReport;
  readonly #verifications: Verifications;
  /** Of migrations whose scrapers have moved: the last look before the source has to release. */
  readonly #lastVerifications: Verifications;
  readonly #releaseProofs: ReleaseProofs;
  readonly #instanceReads: InstanceReads;
  readonly #podWatch: PodWatch;
  readonly #publisher: AssignmentPublisher;
  #lastRoundAt: number;

  constructor(options: LeadingTermOptions) {
    this.#options = options;
    const { context, config, removed, regarding } = options;
    const { client, clock, cluster, link, leadership } = context;
    this.#context = context;
    const logger = options.logger.child({ term: options.term });
    this.#logger = logger;
    this.#decideWakeup = new Wakeup(clock);
    this.#effectsWakeup = new Wakeup(clock);
    this.#lastRoundAt = clock.monotonic();
    this.#time = new DecisionTime(clock);
    const onHold = (): void => this.#effectsWakeup.wake();
    this.#report = new DecisionReport({ ...context, config, regarding, logger, onHold });
    this.#configInputs = new ConfigInputs({ ...context, config, worker: context.config.worker, removed });
    this.#shardInputs = new ShardInputs({ ...context, config });
    this.#log = this.#termLog();
    this.#publisher = new AssignmentPublisher({
      values: assignmentValues(link),
      leads: () => leadership.leads,
      isNewest: () => this.#log.isNewest(),
      onForged: (forged, by) => this.#report.forged(forged, by),
    });
    const onAnswer = (): void => this.#decideWakeup.wake();
    this.#instanceReads = new InstanceReads({ cluster, config: config.name, clock, onAnswer });
    this.#verifications = new Verifications({ link, clock, onResult: onAnswer });
    this.#lastVerifications = new Verifications({ link, clock, onResult: onAnswer });
    this.#releaseProofs = new ReleaseProofs({ link, clock });
    const retry = { client, clock, leads: () => leadership.leads, namespace: config.namespace };
    this.#podWatch = new PodWatch({
      client,
      namespace: config.namespace,
      clock,
      logger,
      wanted: () => (this.state === undefined ? [] : wantedPods(config.name, desired(this.state))),
      pods: () => cluster.pods(config.name),
      onChange: () => this.#effectsWakeup.wake(),
      retry: (statefulSet, signal) => retryStatefulSet(retry, statefulSet, signal),
    });
  }

  get head(): ConfigHead | undefined {
    return this.#log.current?.head;
  }

  get state(): ShardConfigState | undefined {
    return this.#log.current?.state;
  }

  get hold(): ManagerHold | undefined {
    return this.#report.hold;
  }

  get lastRoundAt(): number {
    return this.#lastRoundAt;
  }

  wake(): void {
    this.#decideWakeup.wake();
    this.#effectsWakeup.wake();
  }

  invalidateLog(): void {
    this.#log.invalidate();
    this.#publisher.forget();
    this.wake();
  }

  async run(signal: AbortSignal): Promise<void> {
    const ended = new AbortController();
    const until = AbortSignal.any([signal, ended.signal]);
    const effects = Promise.all([this.#effectsLoop().run(this.#effectsWakeup, until), this.#podWatch.run(until)]);
    try {
      await this.#decideLoop(signal);
    } finally {
      ended.abort();
      this.#verifications.stop();
      this.#lastVerifications.stop();
      this.#releaseProofs.stop();
      this.#instanceReads.stop();
      await effects;
      this.#context.metrics.forget(this.#options.config);
    }
  }

  async #decideLoop(signal: AbortSignal): Promise<void> {
    const { removed } = this.#options;
    while (!signal.aborted) {
      this.#decideWakeup.reset();
      const pauseMs = await this.#round(signal);
      this.#lastRoundAt = this.#context.clock.monotonic();
      if (removed.aborted && (await this.#close(signal))) return;
      await this.#decideWakeup.wait(pauseMs, signal);
    }
  }

  /** One round of looking and deciding; returns the time until the next one, ms. */
  async #round(signal: AbortSignal): Promise<number> {
    const { link, config, leadership } = this.#context;
    // The term is over, and its end is about to be announced.
    if (!leadership.leads) return RETRY_MS;
    if (!link.connected) {
      this.#log.invalidate();
      this.#report.natsUnavailable(link.status.problem);
      return config.tickIntervalMs;
    }
    try {
      const log = await this.#log.open(signal);
      if (signal.aborted || log === undefined) return RETRY_MS;
      await this.#decide(log, signal);
      return this.#log.isStale ? RETRY_MS : config.tickIntervalMs;
    } catch (error) {
      if (signal.aborted) return RETRY_MS;
      this.#log.invalidate();
      return FAILURE_RETRY_MS[this.#report.failed(error)];
    }
  }

  async #decide(log: DecisionLog, signal: AbortSignal): Promise<void> {
    for (let look = 0; look < MAX_LOOKS; look += 1) {
      let decided = false;
      await this.#configInputs.confirmRestored(log.state, signal);
      for (const command of this.#commands(log.state)) {
        const events = await this.#execute(log, command, signal);
        if (events === false || signal.aborted) return;
        decided ||= events > 0;
      }
      if (!decided) break;
      this.#effectsWakeup.wake();
    }
    this.#report.resumed();
  }

  /** Everything that is news to the state, the time last. */
  #commands(state: ShardConfigState): CommandBody[] {
    const now = this.#context.clock.monotonic();
    const sourcesOf = (shardId: string): ShardSources => this.#shardInputs.of(state, shardId);
    this.#instanceReads.want(shardsToRead(state, sourcesOf, now));
    this.#releaseProofs.update(state, sourcesOf, now);
    const moved = scraperCommands(state, sourcesOf, now);
    return [
      ...this.#configInputs.commands(state),
      ...observedCommands(state, sourcesOf, now),
      ...this.#verifications.update(state, this.#time.now()),
      ...moveEnds(
        moved,
        this.#lastVerifications.update(state, this.#time.now(), ({ id }) =>
          moved.some(({ migration }) => migration === id),
        ),
      ),
      { type: 'Tick' },
    ];
  }

  /** Number of events stored; false when nothing more can be decided before the log is read again. */
  async #execute(log: DecisionLog, command: CommandBody, signal: AbortSignal): Promise<number | false> {
    const { identity, leadership } = this.#context;
    if (signal.aborted || !leadership.leads) return false;
    const before = log.head;
    const manager = { identity, term: this.#options.term };
    const execution = await log.execute(command, { ...this.#figures(log.state), manager });
    this.#report.skipped(before, log.head);
    switch (execution.kind) {
      case 'decided':
        this.#report.decided(execution.events, execution.before, log.head.sequence);
        for (const event of execution.events) {
          if (event.type === 'shard.removed.v1') this.#shardInputs.removed(event.shardId);
        }
        return execution.events.length;
      case 'rejected':
        this.#report.rejected(execution.machine, execution.reason, command);
        return 0;
      case 'nothing':
        return 0;
      case 'unavailable':
        this.#report.natsUnavailable(execution.problem);
        return false;
      case 'stale':
        this.#log.invalidate();
        this.#logger.warn({ problem: execution.problem, command: command.type }, 'reading the event log again');
        return false;
    }
    return execution satisfies never;
  }

  #figures(state: ShardConfigState): CommandContext {
    return { now: this.#time.now(), ...this.#shardInputs.figures(state) };
  }

  /** After the ShardConfig is gone: true when nothing is left to do for it. */
  async #close(signal: AbortSignal): Promise<boolean> {
    const { config } = this.#options;
    const { state } = this;
    if (state === undefined || (!state.deleted && state.uid !== '')) return signal.aborted;
    const shardIds = Object.keys(state.shards);
    try {
      const { client, leadership } = this.#context;
      if (!(await teardown({ client, leads: () => leadership.leads }, config, shardIds, signal))) return signal.aborted;
    } catch (error) {
      this.#logger.warn({ err: error }, 'the objects of a deleted ShardConfig are left to the garbage collector');
    }
    try {
      for (const shardId of shardIds) await this.#publisher.remove(config, shardId);
    } catch (error) {
      this.#logger.warn({ err: error }, 'assignments of a deleted ShardConfig are left in NATS');
    }
    this.#context.registry.forget(config.namespace, config.name);
    return true;
  }

  /** The stream of the assignments was deleted; the ShardInstances hold them as well, so it is re-created and filled. */
  async #restoreStreams(): Promise<void> {
    const { link, config } = this.#context;
    try {
      await ensureStreams(link, config.nats.replicas);
    } catch (error) {
      this.#logger.warn({ err: error }, 'a missing stream could not be re-created; retrying');
      return;
    }
    this.#publisher.forget();
    this.#report.streamRestored();
  }

  #termLog(): TermLog {
    const { clock, client, events, link, config: manager } = this.#context;
    return new TermLog({
      ...this.#options,
      client,
      clock,
      events,
      logger: this.#logger,
      inputs: this.#configInputs,
      probeIntervalMs: manager.resyncIntervalMs,
      ensureStreams: () => ensureStreams(link, manager.nats.replicas),
      onRead: (known, head) => {
        this.#report.skipped(known, head);
        this.#time.startFrom(head.at);
      },
      recover: async (log, command, signal) => {
        const stored = await this.#execute(log, command, signal);
        return stored !== false && stored > 0;
      },
      onOpen: () => {
        this.#configInputs.reset();
        this.#effectsWakeup.wake();
      },
    });
  }

  #effectsLoop(): EffectsLoop {
    const { client, clock, cluster, config: manager, leadership, metrics } = this.#context;
    const leads = (): boolean => leadership.leads;
    const { config, removed } = this.#options;
    const present = cluster.status(config.uid);
    return new EffectsLoop({
      config,
      clock,
      logger: this.#logger,
      resyncIntervalMs: manager.resyncIntervalMs,
      reconciler: new Reconciler({
        config,
        client,
        leads,
        publisher: this.#publisher,
        worker: manager.worker,
        logger: this.#logger,
      }),
      statusWriter: new StatusWriter({ client, leads, clock, config, present }),
      state: () => (removed.aborted ? undefined : this.state),
      spec: () => cluster.config(config.uid),
      observed: () => ({ instances: cluster.instances(config.name), pods: cluster.pods(config.name) }),
      describe: (state) => describeStatus(state, this.#figures(state)),
      notes: (state) => this.#shardInputs.notes(state),
      unavailable: (state) => this.#shardInputs.unavailableKinds(state),
      podProblems: () => this.#podWatch.problems,
      hold: () => this.hold,
      onSuperseded: () => this.invalidateLog(),
      restoreStreams: () => this.#restoreStreams(),
      onFailure: () => metrics.effectsFailed(config),
      onStatus: (status, state) => metrics.status(config, status, Object.keys(state.migrations).length),
    });
  }
}
