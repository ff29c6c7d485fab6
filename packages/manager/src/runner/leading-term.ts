import {
  type ShardInstance,
  SHARD_CONFIG_PLURAL,
  SHARD_INSTANCE_PLURAL,
  GROUP,
  VERSION,
  parseShardInstance,
} from '@shard-controller/shared/api';
import {
  type CommandBody,
  type CommandContext,
  evolve,
  type ObservedConfig,
  type ShardConfigState,
  type ShardEvent,
  shardsOf,
} from '../aggregate/index.ts';
import { describeStatus, desired } from '../decision/index.ts';
import {
  AssignmentPublisher,
  assignmentValues,
  type KindReport,
  type Obstacle,
  StatusWriter,
  type WorkerNote,
  World,
} from '../effects/index.ts';
import { CONFIG_LABEL, type ConfigIdentity, FIELD_MANAGER, RETRIED_ANNOTATION } from '../naming/index.ts';
import { PodWatch, type ShardSources, wantedPods, type WorkerSources } from '../observation/index.ts';
import type { RunnerContext } from './context.ts';
import {
  Aggregate,
  type ConfigHead,
  type ConfigLog,
  type Execution,
  lostLog,
  type LostLog,
  recoveryCommand,
  revivedLog,
} from './decision-log.ts';
import { DecisionTime } from './decision-time.ts';
import { EffectsLoop } from './effects-loop.ts';
import { InstanceReads } from './instance-reads.ts';
import { narrate } from './narration.ts';
import {
  isNewConfig,
  moveEnds,
  observedCommands,
  observedConfig,
  scraperCommands,
  shardFigures,
  shardsToRead,
} from './observed-commands.ts';
import { ensureStreams } from './streams.ts';
import { Verifications } from './verifications.ts';
import { Wakeup } from './wakeup.ts';
import { type KubernetesObject, resourcePath } from '@shard-controller/shared/kubernetes';
import {
  type Assignment,
  assignmentSubject,
  eventSubject,
  type Replica,
  type WorkerAddress,
} from '@shard-controller/shared/contracts';
import { NatsUnavailableError } from '@shard-controller/shared/nats';
import type { Logger } from '@shard-controller/shared/observability';

/** Decisions make further decisions possible; this many looks follow each other before the next pause. */
const MAX_LOOKS = 12;
/** Wait before a log that could not be read or written is tried again, ms. */
const RETRY_MS = 300;
/** The same for a log that this version cannot read: only another version of the manager helps, ms. */
const UNREADABLE_RETRY_MS = 15_000;

/** Between two consistent reads of a spec that seems to be older than it was, ms. */
const ASK_AGAIN_MS = 2_000;

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

/** One ShardConfig during one term of leadership: looks, decides, and has the effects made. */
export class LeadingTerm {
  readonly #options: LeadingTermOptions;
  readonly #context: RunnerContext;
  readonly #logger: Logger;
  readonly #decideWakeup: Wakeup;
  readonly #effectsWakeup: Wakeup;
  readonly #verifications: Verifications;
  /** Of migrations whose scrapers have moved: the last look before the source is told to release. */
  readonly #lastVerifications: Verifications;
  readonly #instanceReads: InstanceReads;
  readonly #podWatch: PodWatch;
  readonly #publisher: AssignmentPublisher;
  #aggregate: Aggregate | undefined;
  #doubt = true;
  readonly #time: DecisionTime;
  /** Monotonic, ms. */
  #probeAt = 0;
  #obstacle: Obstacle | undefined = { reason: 'Starting', message: 'the event log is being read' };
  #lastRoundAt: number;
  /** What was offered as ConfigObserved and not taken; not offered again in this term until it changes. */
  #offered = '';
  /** Generation of the spec, when it is an older one than the state's and the API server has confirmed it. */
  #restored: number | undefined;
  /** Monotonic, ms. */
  #askAgainAt = 0;
  #rejections = new Set<string>();

  constructor(options: LeadingTermOptions) {
    this.#options = options;
    const { context } = options;
    this.#context = context;
    this.#logger = options.logger.child({ term: options.term });
    this.#decideWakeup = new Wakeup(context.clock);
    this.#effectsWakeup = new Wakeup(context.clock);
    this.#publisher = new AssignmentPublisher({
      values: assignmentValues(context.link),
      leads: () => context.leadership.leads,
      isNewest: async () => this.#aggregate !== undefined && (await this.#isNewest(this.#aggregate.head)),
      onForged: (forged, by) => this.#forged(forged, by),
    });
    this.#lastRoundAt = context.clock.monotonic();
    this.#time = new DecisionTime(context.clock);
    const { name, namespace } = options.config;
    this.#instanceReads = new InstanceReads({
      cluster: context.cluster,
      config: name,
      clock: context.clock,
      onAnswer: () => this.#decideWakeup.wake(),
    });
    this.#podWatch = new PodWatch({
      client: context.client,
      namespace,
      clock: context.clock,
      logger: this.#logger,
      wanted: () => (this.state === undefined ? [] : wantedPods(name, desired(this.state))),
      pods: () => context.cluster.pods(name),
      onChange: () => this.#effectsWakeup.wake(),
      retry: async (statefulSet, signal) => this.#retry(statefulSet, signal),
    });
    const verification = {
      link: context.link,
      clock: context.clock,
      onResult: () => this.#decideWakeup.wake(),
    };
    this.#verifications = new Verifications(verification);
    this.#lastVerifications = new Verifications(verification);
  }

  get head(): ConfigHead | undefined {
    return this.#aggregate?.head;
  }

  get state(): ShardConfigState | undefined {
    return this.#aggregate?.state;
  }

  get obstacle(): Obstacle | undefined {
    return this.#obstacle;
  }

  get lastRoundAt(): number {
    return this.#lastRoundAt;
  }

  wake(): void {
    this.#decideWakeup.wake();
    this.#effectsWakeup.wake();
  }

  doubtLog(): void {
    this.#doubt = true;
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
    // The term is over, and its end is about to be told.
    if (!leadership.leads) return RETRY_MS;
    if (!link.connected) {
      this.#doubt = true;
      this.#blocked('NatsUnavailable', natsProblem(link.status.problem));
      return config.tickIntervalMs;
    }
    try {
      if (this.#doubt || this.#aggregate === undefined) await this.#readLog(signal);
      if (signal.aborted || this.#aggregate === undefined || this.#doubt) return RETRY_MS;
      await this.#probeLog(this.#aggregate.head);
      if (this.#doubt) return 0;
      await this.#decide(this.#aggregate, signal);
      return this.#doubt ? RETRY_MS : config.tickIntervalMs;
    } catch (error) {
      if (signal.aborted) return RETRY_MS;
      this.#doubt = true;
      return this.#failed(error);
    }
  }

  #failed(error: unknown): number {
    const message = error instanceof Error ? error.message : String(error);
    if (error instanceof NatsUnavailableError) {
      this.#blocked('NatsUnavailable', natsProblem(message));
      return RETRY_MS;
    }
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'SC_DECISION';
    const isUnreadable = code.startsWith('SC_EVENT_');
    this.#blocked(isUnreadable ? 'LogUnreadable' : 'CannotDecide', message, error);
    return isUnreadable ? UNREADABLE_RETRY_MS : RETRY_MS * 3;
  }

  /** Notes why nothing is decided: once in the log and as an Event, and in the status while it lasts. */
  #blocked(reason: string, message: string, error?: unknown): void {
    if (this.#obstacle?.reason !== reason) {
      this.#logger.warn({ reason, ...(error === undefined ? {} : { err: error }) }, `no decisions: ${message}`);
      this.#context.recorder.record(this.#options.regarding, { type: 'Warning', reason, note: message });
    }
    this.#obstacle = { reason, message };
    this.#effectsWakeup.wake();
  }

  #unblocked(): void {
    if (this.#obstacle === undefined) return;
    if (this.#obstacle.reason !== 'Starting') this.#logger.info({ was: this.#obstacle.reason }, 'deciding again');
    this.#obstacle = undefined;
    this.#effectsWakeup.wake();
  }

  /** Makes sure that the state is the newest one of the right log, and rebuilds the log when it is not. */
  async #readLog(signal: AbortSignal): Promise<void> {
    const { log, config, warm } = this.#options;
    await ensureStreams(this.#context.link, this.#context.config.nats.replicas);
    const known = this.#aggregate?.head ?? warm;
    const head = known === undefined ? await log.load(signal) : await log.resume(known, signal);
    this.#nameGarbage(known, head);
    this.#time.startFrom(head.at);
    const aggregate = new Aggregate(log, head);
    const instances = await this.#listInstances(signal);
    const lost = lostLog(head, config.uid, instances) ?? (await this.#revived(head, instances, signal));
    if (lost !== undefined && !this.#options.removed.aborted) {
      const recovery = recoveryCommand(lost, this.#observed());
      if (!(await this.#execute(aggregate, recovery, signal))) return;
    }
    this.#aggregate = aggregate;
    this.#doubt = false;
    this.#offered = '';
    this.#logger.info(
      {
        sequence: aggregate.head.sequence,
        generation: aggregate.state.generation,
        decisions: aggregate.head.decisions,
      },
      `the event log of ShardConfig ${config.name} is read; deciding from it`,
    );
    this.#effectsWakeup.wake();
  }

  /** Somebody else has written to the log what is no decision. */
  #nameGarbage(known: ConfigHead | undefined, head: ConfigHead): void {
    const more = head.garbage - (known?.created === head.created ? known.garbage : 0);
    if (more <= 0) return;
    const { namespace, name, uid } = this.#options.config;
    this.#context.recorder.record(this.#options.regarding, {
      type: 'Warning',
      reason: 'LogGarbage',
      note:
        `${more} messages on NATS subject ${eventSubject(namespace, name, uid)}, the newest up to sequence ${head.sequence}, ` +
        'are no decisions: skipped. Who else writes to NATS?',
    });
  }

  /** What to go on from when the ShardConfig was deleted and is there again; undefined when it is not. */
  async #revived(
    head: ConfigHead,
    instances: readonly ShardInstance[],
    signal: AbortSignal,
  ): Promise<LostLog | undefined> {
    const { config, removed } = this.#options;
    if (!head.state.deleted || removed.aborted) return undefined;
    const present = await this.#presentConfig(signal);
    const isBack = present?.metadata?.uid === config.uid && present.metadata.deletionTimestamp === undefined;
    return isBack ? revivedLog(head, config.uid, instances) : undefined;
  }

  /** A stream that was deleted or put back while nothing is decided shows only when somebody looks. */
  async #probeLog(head: ConfigHead): Promise<void> {
    const { clock, config } = this.#context;
    const now = clock.monotonic();
    if (now < this.#probeAt) return;
    this.#probeAt = now + config.resyncIntervalMs;
    this.#doubt = !(await this.#isNewest(head));
    if (this.#doubt) this.#logger.warn('the event log is not as this manager left it; reading it again');
  }

  async #isNewest(head: ConfigHead): Promise<boolean> {
    const { events } = this.#context;
    const { config } = this.#options;
    const { created } = await events.facts();
    if (created !== head.created) return false;
    return (await events.lastSequence(eventSubject(config.namespace, config.name, config.uid))) === head.sequence;
  }

  /** A consistent read: what the reflector has may be older than what another leader wrote. */
  async #listInstances(signal: AbortSignal): Promise<readonly ShardInstance[]> {
    const { client } = this.#context;
    const { config } = this.#options;
    const path = resourcePath({
      group: GROUP,
      version: VERSION,
      resource: SHARD_INSTANCE_PLURAL,
      namespace: config.namespace,
    });
    const list = await client.list<unknown>(path, {
      query: { labelSelector: `${CONFIG_LABEL}=${config.name}` },
      signal,
    });
    return list.items.flatMap((raw) => {
      const parsed = parseShardInstance(raw);
      return parsed.ok ? [parsed.value] : [];
    });
  }

  async #decide(aggregate: Aggregate, signal: AbortSignal): Promise<void> {
    for (let look = 0; look < MAX_LOOKS; look += 1) {
      let decided = false;
      await this.#confirmRestored(aggregate.state, signal);
      for (const command of this.#commands(aggregate.state)) {
        const events = await this.#execute(aggregate, command, signal);
        if (events === false || signal.aborted) return;
        decided ||= events > 0;
      }
      if (!decided) break;
      this.#effectsWakeup.wake();
    }
    this.#unblocked();
  }

  /** Everything that is news to the state, the time last. */
  #commands(state: ShardConfigState): CommandBody[] {
    const { clock } = this.#context;
    const sourcesOf = (shardId: string): ShardSources => this.#sources(state, shardId);
    this.#instanceReads.want(shardsToRead(state, sourcesOf, clock.monotonic()));
    return [
      ...this.#configCommands(state),
      ...observedCommands(state, sourcesOf, clock.monotonic()),
      ...this.#verifications.update(state, this.#time.now()),
      ...this.#moveEnds(state, sourcesOf),
      { type: 'Tick' },
    ];
  }

  #moveEnds(state: ShardConfigState, sourcesOf: (shardId: string) => ShardSources): CommandBody[] {
    const moved = scraperCommands(state, sourcesOf, this.#context.clock.monotonic());
    const ids = new Set(moved.map(({ migration }) => migration));
    return moveEnds(
      moved,
      this.#lastVerifications.update(state, this.#time.now(), ({ id }) => ids.has(id)),
    );
  }

  #configCommands(state: ShardConfigState): CommandBody[] {
    const { cluster } = this.#context;
    const { config, removed } = this.#options;
    if (removed.aborted) return state.uid === '' || state.deleted ? [] : [{ type: 'ConfigDeleted' }];
    const invalid = cluster.invalid(config.uid);
    const isRestored = this.#restored !== undefined;
    if (invalid !== undefined && state.rejected?.specGeneration !== invalid.generation) {
      const problems = invalid.problems.slice(0, 50).map((problem) => problem.slice(0, 500));
      return [{ type: 'ConfigInvalid', specGeneration: invalid.generation, problems, isRestored }];
    }
    const observed = this.#observed();
    if (observed === undefined || invalid !== undefined || !isNewConfig(state, observed)) return [];
    const offer = JSON.stringify(observed);
    if (offer === this.#offered && state.rejected?.specGeneration === observed.specGeneration) return [];
    this.#offered = offer;
    return [{ type: 'ConfigObserved', config: observed, isRestored }];
  }

  /**
   * A spec that is older than the state's is either a late one, of a cache, or a restored one. Only the API server itself
   * can tell.
   */
  async #confirmRestored(state: ShardConfigState, signal: AbortSignal): Promise<void> {
    const { cluster, clock } = this.#context;
    const { config } = this.#options;
    const seen = cluster.invalid(config.uid)?.generation ?? cluster.config(config.uid)?.metadata.generation;
    const newest = Math.max(state.specGeneration, state.rejected?.specGeneration ?? 0);
    if (seen === undefined || seen >= newest || state.deleted) this.#restored = undefined;
    if (seen === undefined || seen >= newest || this.#restored === seen || clock.monotonic() < this.#askAgainAt) return;
    this.#askAgainAt = clock.monotonic() + ASK_AGAIN_MS;
    const present = await this.#presentConfig(signal);
    this.#restored = present?.metadata?.uid === config.uid && present.metadata.generation === seen ? seen : undefined;
    this.#offered = '';
  }

  /** A consistent read. */
  async #presentConfig(signal: AbortSignal): Promise<KubernetesObject | undefined> {
    const { namespace, name } = this.#options.config;
    const path = resourcePath({ group: GROUP, version: VERSION, resource: SHARD_CONFIG_PLURAL, namespace, name });
    return this.#context.client.find<KubernetesObject>(path, { signal });
  }

  #observed(): ObservedConfig | undefined {
    const { cluster, config: manager } = this.#context;
    const { config } = this.#options;
    const resource = cluster.config(config.uid);
    if (resource === undefined) return undefined;
    return observedConfig(config, resource.spec, resource.metadata.generation ?? 0, manager.worker);
  }

  #sources(state: ShardConfigState, shardId: string): ShardSources {
    const active = state.shards[shardId]?.active ?? 'a';
    return { ...this.#worker(shardId, active), other: this.#worker(shardId, active === 'a' ? 'b' : 'a') };
  }

  #worker(shardId: string, replica: Replica): WorkerSources {
    const { cluster, hearing, registry } = this.#context;
    const { name, uid } = this.#options.config;
    const address = this.#address(shardId, replica);
    return {
      worker: registry.view(address, uid),
      ping: registry.ping(address),
      hearingSince: hearing.since,
      pod: cluster.pod(name, shardId, replica),
      instanceStatusAt: cluster.instanceStatusAt(name, shardId, replica),
      instanceReadAt: cluster.instanceReadAt(name, shardId),
    };
  }

  #address(shardId: string, replica: Replica): WorkerAddress {
    const { namespace, name } = this.#options.config;
    return { namespace, config: name, shardId, replica };
  }

  #figures(state: ShardConfigState): CommandContext {
    const sourcesOf = (shardId: string): ShardSources => this.#sources(state, shardId);
    return { now: this.#time.now(), ...shardFigures(state, sourcesOf, this.#context.clock.monotonic()) };
  }

  /** What the workers that serve say is wrong with them. */
  #notes(state: ShardConfigState): readonly WorkerNote[] {
    return shardsOf(state).flatMap(({ shardId, active }) => {
      const note = this.#worker(shardId, active).worker?.heartbeat.note;
      return note === undefined ? [] : [{ shardId, note }];
    });
  }

  #unavailable(state: ShardConfigState): readonly KindReport[] {
    return shardsOf(state).flatMap(({ shardId, active }) => {
      const unavailable = this.#worker(shardId, active).worker?.heartbeat.unavailable;
      return unavailable === undefined ? [] : [{ shardId, unavailable }];
    });
  }

  /** Number of events stored; false when nothing more can be decided before the log is read again. */
  async #execute(aggregate: Aggregate, command: CommandBody, signal: AbortSignal): Promise<number | false> {
    const { identity, leadership } = this.#context;
    if (signal.aborted || !leadership.leads) return false;
    const before = aggregate.head;
    const execution = await aggregate.execute(command, {
      ...this.#figures(aggregate.state),
      manager: { identity, term: this.#options.term },
    });
    this.#nameGarbage(before, aggregate.head);
    return this.#account(execution, command);
  }

  #account(execution: Execution, command: CommandBody): number | false {
    if (execution.kind === 'decided') {
      this.#tell(execution.events, execution.before);
      return execution.events.length;
    }
    if (execution.kind === 'rejected') this.#rejected(execution.machine, execution.reason, command);
    if (execution.kind === 'rejected' || execution.kind === 'nothing') return 0;
    if (execution.kind === 'unavailable') {
      this.#blocked('NatsUnavailable', natsProblem(execution.problem));
      return false;
    }
    this.#doubt = true;
    this.#logger.warn({ problem: execution.problem, command: command.type }, 'reading the event log again');
    return false;
  }

  #tell(events: readonly ShardEvent[], before: ShardConfigState): void {
    const { metrics, recorder, registry } = this.#context;
    const { config, regarding } = this.#options;
    const sequence = this.#aggregate?.head.sequence ?? before.sequence + 1;
    let state = before;
    for (const event of events) {
      const { level, message, note } = narrate(event, state);
      this.#logger[level]({ event: event.type, epoch: sequence, ...shardFields(event) }, message);
      if (note !== undefined) recorder.record(regarding, { ...note, note: message });
      metrics.event(config, event, state);
      if (event.type === 'shard.removed.v1') {
        for (const replica of ['a', 'b'] as const) registry.removed(this.#address(event.shardId, replica));
      }
      state = evolve(state, event, sequence);
    }
  }

  /** Somebody else has written to an assignment's subject. */
  #forged(forged: Assignment, by: Assignment): void {
    const { recorder } = this.#context;
    const { regarding } = this.#options;
    const subject = assignmentSubject({ ...forged.shardConfig, config: forged.shardConfig.name, shardId: by.shardId });
    const message =
      `NATS subject ${subject} held assignment ${forged.generation}/${forged.epoch}, which the event log does not: replaced by ` +
      `${by.generation}/${by.epoch}. Who else writes to NATS?`;
    this.#logger.warn({ subject, forged: `${forged.generation}/${forged.epoch}` }, message);
    recorder.record(regarding, { type: 'Warning', reason: 'ForgedAssignment', note: message });
  }

  #rejected(machine: string, reason: string, command: CommandBody): void {
    this.#context.metrics.rejected(this.#options.config, machine, command.type);
    const key = `${machine} ${command.type} ${reason}`;
    const level = this.#rejections.has(key) ? 'debug' : 'info';
    if (this.#rejections.size > 1000) this.#rejections.clear();
    this.#rejections.add(key);
    this.#logger[level]({ machine, command: command.type, reason }, 'command rejected');
  }

  /** After the ShardConfig is gone: true when nothing is left to do for it. */
  async #close(signal: AbortSignal): Promise<boolean> {
    const { config } = this.#options;
    const state = this.#aggregate?.state;
    if (state === undefined || (!state.deleted && state.uid !== '')) return signal.aborted;
    try {
      for (const shardId of Object.keys(state.shards)) await this.#publisher.remove(config, shardId);
    } catch (error) {
      this.#logger.warn({ err: error }, 'assignments of a deleted ShardConfig are left in NATS');
    }
    this.#context.registry.forget(config.namespace, config.name);
    return true;
  }

  /** Any change of a StatefulSet ends its controller's wait. */
  async #retry(statefulSet: string, signal: AbortSignal): Promise<void> {
    const { client, clock, leadership } = this.#context;
    if (leadership.term === undefined) return;
    const { namespace } = this.#options.config;
    const path = resourcePath({ group: 'apps', version: 'v1', resource: 'statefulsets', namespace, name: statefulSet });
    const annotations = { [RETRIED_ANNOTATION]: new Date(clock.now()).toISOString() };
    await client.patch(
      path,
      { metadata: { annotations } },
      { query: { fieldManager: `${FIELD_MANAGER}-retry` }, signal },
    );
  }

  /** Somebody deleted the stream of the assignments, which the ShardInstances hold as well: it is made and filled again. */
  async #restoreStreams(): Promise<void> {
    const { link, config, recorder } = this.#context;
    try {
      await ensureStreams(link, config.nats.replicas);
    } catch (error) {
      this.#logger.warn({ err: error }, 'a stream that is gone could not be made again; trying again');
      return;
    }
    this.#publisher.forget();
    const note = 'a stream in NATS was gone; it was made again, and the assignments are published anew';
    this.#logger.warn(note);
    recorder.record(this.#options.regarding, { type: 'Warning', reason: 'StreamRestored', note });
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
      world: new World({ client, leads, publisher: this.#publisher, worker: manager.worker, logger: this.#logger }),
      statusWriter: new StatusWriter({ client, leads, clock, config, present }),
      state: () => (removed.aborted ? undefined : this.#aggregate?.state),
      spec: () => cluster.config(config.uid),
      surroundings: () => ({ instances: cluster.instances(config.name), pods: cluster.pods(config.name) }),
      describe: (state) => describeStatus(state, this.#figures(state)),
      notes: (state) => this.#notes(state),
      unavailable: (state) => this.#unavailable(state),
      podProblems: () => this.#podWatch.problems,
      obstacle: () => this.#obstacle,
      onSuperseded: () => this.doubtLog(),
      restoreStreams: () => this.#restoreStreams(),
      onFailure: () => metrics.effectsFailed(config),
      onStatus: (status, state) => metrics.status(config, status, Object.keys(state.migrations).length),
    });
  }
}

const natsProblem = (problem: string | undefined): string =>
  `NATS cannot be used, so nothing is decided; the workers go on serving. ${problem ?? ''}`.trim();

/** Fields of an event that a log line should have of its own. */
function shardFields(event: ShardEvent): Record<string, string> {
  return {
    ...('shardId' in event && event.shardId !== undefined ? { shard: event.shardId } : {}),
    ...('id' in event ? { migration: event.id } : {}),
    ...('source' in event ? { source: event.source, target: event.target } : {}),
  };
}
