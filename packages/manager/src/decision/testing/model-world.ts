import { activeReplicaOf, type Handover, type Replica } from '@shard-controller/shared/contracts';
import { rangesToSlots } from '@shard-controller/shared/hashing';
import {
  assignedSlots,
  type Command,
  type CommandBody,
  defaultSettings,
  evolve,
  initialState,
  isWanted,
  ordinalOf,
  type Settings,
  type ShardConfigState,
  type ShardEvent,
  type ShardId,
  shardIdOf,
  type ShardObservation,
  SURGE,
} from '../../aggregate/index.ts';
import { isTakeoverDue, shardCommand } from '../../health-monitor/index.ts';
import { handoverCommands } from '../../migration/index.ts';
import { type Decide, decide, type Decision } from '../decide.ts';
import { desired } from '../desired.ts';

/** A worker pod of the model: it obeys its assignment at once, unless a fault says otherwise. */
interface Pod {
  readonly replica: Replica;
  revision: string;
  /** Ticks until it can serve. */
  starting: number;
  /** Frozen: exposes what it has, hears and says nothing. */
  frozen: boolean;
  /** Ticks since SIGTERM; undefined before. */
  draining: number | undefined;
  generation: number;
  epoch: number;
  /** Slots in its exposition, with the migration they were warmed for until it is responsible for them. */
  readonly exposed: Map<number, string>;
  /** Slots that it is responsible for and has yet to load: ticks until its exposition holds them. */
  readonly loading: Map<number, number>;
  readonly acknowledged: Set<string>;
}

/** What the next warm of a shard does instead of succeeding; used up by it. */
type TargetFault = 'fail' | 'omit-one';

/** Where migrations get no further, because nobody says what would take them there. */
export type HeldStep = 'Preparation' | 'Transfer' | 'Verification' | 'Cleanup' | 'Releasing';

export interface RecordedDecision {
  readonly state: ShardConfigState;
  readonly command: Command;
  readonly decision: Decision;
}

const OWNED = 'owned';
const TICK_MS = 1_000;
/** Ticks without a sign of life until a shard is reported Failed. */
const SILENT_TICKS = 4;
/** Ticks from SIGTERM to SIGKILL. */
const GRACE_TICKS = 60;

/** Small numbers, so that a scenario is over in few ticks. */
export const testSettings: Settings = {
  ...defaultSettings,
  mode: 'Manual',
  shards: 2,
  minShards: 1,
  maxShards: 8,
  slotCount: 64,
  capacity: { objects: 1_000_000 },
};

/**
 * A world that does what it is told, for running decisions to their end: pods start, warm, acknowledge, release and die
 * as in a cluster, only instantly and without any I/O. It keeps the log, so that a run can be folded again.
 */
export class ModelWorld {
  now = 1_000_000;
  state: ShardConfigState = initialState;
  readonly log: { readonly sequence: number; readonly event: ShardEvent }[] = [];
  /** Every decision: what it was made from, and what it was. */
  readonly decisions: RecordedDecision[] = [];
  readonly rejections: string[] = [];
  /** Active workers: those that the state calls so. Only they are scraped. */
  readonly pods = new Map<ShardId, Pod>();
  readonly standbys = new Map<ShardId, Pod>();
  readonly faults = new Map<ShardId, TargetFault>();
  /** Pods that do not come back when they are gone. */
  readonly lostNodes = new Set<ShardId>();
  objectsPerSlot = 10;
  /** Templates whose pods never start. */
  readonly brokenRevisions = new Set<string>();
  /** Ticks that a new pod needs. */
  startTicks = 2;
  /** Ticks that a worker needs to load the slots that it was given: it exposes them only then. */
  loadTicks = 2;
  holdAt: HeldStep | undefined;
  /** Shards whose worker lives but cannot serve. */
  readonly unable = new Set<ShardId>();
  /** Shards that are taken for lost though their worker lives, hears and obeys. */
  readonly misjudged = new Set<ShardId>();
  readonly #silentFor = new Map<ShardId, number>();
  readonly #decide: Decide;
  readonly #onDecision: (world: ModelWorld) => void;
  #settings: Settings;
  #revision = 'r1';
  /** What the StatefulSets make pods from. */
  #template = 'r1';
  #specGeneration = 1;

  constructor(options: { settings?: Settings; decide?: Decide; onDecision?: (world: ModelWorld) => void } = {}) {
    this.#settings = options.settings ?? testSettings;
    this.#decide = options.decide ?? decide;
    this.#onDecision = options.onDecision ?? (() => undefined);
    this.configure({});
  }

  get settings(): Settings {
    return this.#settings;
  }

  /** Changes the spec, or the template when `revision` is given. */
  configure(change: Partial<Settings>, revision = this.#revision): void {
    this.#settings = { ...this.#settings, ...change };
    this.#revision = revision;
    this.send({ type: 'ConfigObserved', config: this.observedConfig() });
    this.#specGeneration++;
  }

  observedConfig(): Extract<CommandBody, { type: 'ConfigObserved' }>['config'] {
    return {
      uid: 'uid-1',
      namespace: 'monitoring',
      name: 'main',
      specGeneration: this.#specGeneration,
      settings: this.#settings,
      revision: this.#revision,
    };
  }

  send(body: CommandBody): void {
    const command: Command = { ...body, now: this.now, objects: this.objects() };
    const decision = this.#decide(this.state, command);
    this.decisions.push({ state: this.state, command, decision });
    if (decision.kind === 'rejected') {
      this.rejections.push(`${command.type}: ${decision.reason}`);
      return;
    }
    const sequence = this.state.sequence + 1;
    for (const event of decision.events) {
      this.state = evolve(this.state, event, sequence);
      this.log.push({ sequence, event });
      if (event.type === 'shard.standby.promoted.v1') this.#swap(event.shardId);
    }
    this.#onDecision(this);
  }

  /** One second: the effects act, the workers obey, the shell reports. */
  tick(): void {
    this.now += TICK_MS;
    this.#actuate();
    this.#obey();
    this.#report();
    this.send({ type: 'Tick' });
  }

  run(ticks: number): this {
    for (let i = 0; i < ticks; i++) this.tick();
    return this;
  }

  /** Ticks until nothing is left to do. @returns ticks that it took, or undefined when `most` were not enough */
  settle(most = 300): number | undefined {
    for (let i = 0; i < most; i++) {
      if (i > 0 && this.isSettled()) return i;
      this.tick();
    }
    return this.isSettled() ? most : undefined;
  }

  isSettled(): boolean {
    const { state } = this;
    const wanted = Object.values(state.shards);
    return (
      Object.keys(state.migrations).length === 0 &&
      state.rollout === null &&
      wanted.length === state.desiredShards &&
      wanted.every((s) => s.health === 'Healthy' && s.stale === null && s.revision === state.revision) &&
      this.pods.size === state.desiredShards &&
      this.#standbysAreSettled() &&
      this.gaps().length + this.doubled().length === 0 &&
      this.spread() <= 1
    );
  }

  #standbysAreSettled(): boolean {
    const standbys = [...this.standbys.values()];
    const wanted = this.state.settings?.replicasPerShard === 2 ? this.state.desiredShards : 0;
    return standbys.length === wanted && standbys.every(({ revision }) => revision === this.state.revision);
  }

  #swap(shardId: ShardId): void {
    const [active, standby] = [this.pods.get(shardId), this.standbys.get(shardId)];
    for (const [pods, pod] of [[this.pods, standby] as const, [this.standbys, active] as const]) {
      if (pod === undefined) pods.delete(shardId);
      else pods.set(shardId, pod);
    }
  }

  /** Difference between the largest and the smallest number of slots of a shard. */
  spread(): number {
    const counts = Object.keys(this.state.shards).map((id) => this.state.owners.filter((o) => o === id).length);
    return Math.max(...counts) - Math.min(...counts);
  }

  /** Slots that no living pod exposes. */
  gaps(): number[] {
    const exposed = new Set([...this.pods.values()].flatMap((pod) => [...pod.exposed.keys()]));
    return this.state.owners.flatMap((_, slot) => (exposed.has(slot) ? [] : [slot]));
  }

  /** Slots that more than one pod exposes. */
  doubled(): number[] {
    const pods = [...this.pods.values()];
    return this.state.owners.flatMap((_, slot) => (pods.filter((p) => p.exposed.has(slot)).length > 1 ? [slot] : []));
  }

  kill(shardId: ShardId): void {
    this.pods.delete(shardId);
  }

  freeze(shardId: ShardId, frozen = true): void {
    const pod = this.pods.get(shardId);
    if (pod !== undefined) pod.frozen = frozen;
  }

  terminate(shardId: ShardId): void {
    const pod = this.pods.get(shardId);
    if (pod !== undefined) pod.draining ??= 0;
  }

  /** The log is lost: the next manager rebuilds it from the ShardInstances. */
  loseLog(): void {
    const { slotCount } = this.#settings;
    const instances = desired(this.state).assignments.map((a) => ({
      shardId: a.shardId,
      generation: a.generation,
      epoch: a.epoch,
      active: activeReplicaOf(a),
      owned: rangesToSlots(a.hashRanges, slotCount),
      releasing: rangesToSlots(a.releaseRanges, slotCount),
      keeping: rangesToSlots(a.keepRanges ?? [], slotCount),
    }));
    const generation = this.state.generation + 1;
    this.log.length = 0;
    this.state = initialState;
    this.send({ type: 'LogLost', config: this.observedConfig(), generation, instances, reason: 'the log is empty' });
  }

  events<T extends ShardEvent['type']>(type: T): Extract<ShardEvent, { type: T }>[] {
    return this.log.flatMap(({ event }) => (isOfType(event, type) ? [event] : []));
  }

  objects(): Readonly<Record<ShardId, number>> {
    return Object.fromEntries([...this.pods].map(([id, pod]) => [id, pod.exposed.size * this.objectsPerSlot]));
  }

  #actuate(): void {
    const { statefulSets, surge, templateProved } = desired(this.state);
    if (templateProved) this.#template = this.state.revision;
    for (const pods of [this.pods, this.standbys]) {
      for (const [shardId, pod] of pods) {
        const replicas = statefulSets.find(({ replica }) => replica === pod.replica)?.replicas ?? 0;
        const exists = shardId === SURGE ? surge : ordinalOf(shardId) < replicas;
        if (this.#ends(shardId, pod, pods === this.standbys) || !exists) pods.delete(shardId);
      }
    }
    if (surge && !this.pods.has(SURGE) && !this.lostNodes.has(SURGE)) {
      this.pods.set(SURGE, this.#newPod('a', this.state.revision));
    }
    for (const { replica, replicas } of statefulSets) {
      for (let ordinal = 0; ordinal < replicas; ordinal++) {
        const shardId = shardIdOf(ordinal);
        const isActive = (this.state.shards[shardId]?.active ?? 'a') === replica;
        const pods = isActive ? this.pods : this.standbys;
        if (pods.has(shardId) || this.lostNodes.has(isActive ? shardId : `${shardId}/standby`)) continue;
        pods.set(shardId, this.#newPod(replica, this.#template));
      }
    }
  }

  #ends(shardId: ShardId, pod: Pod, isStandby: boolean): boolean {
    const outdated = desired(this.state).podsToDelete.some(
      (d) =>
        d.shardId === shardId &&
        d.replica === pod.replica &&
        d.unlessRevision !== pod.revision &&
        !(d.unlessReady && pod.starting === 0 && !this.unable.has(shardId)),
    );
    const { draining } = pod;
    if (draining !== undefined) pod.draining = draining + 1;
    const isEmpty = isStandby || (!this.state.owners.includes(shardId) && pod.exposed.size === 0);
    return outdated || (draining !== undefined && (isEmpty || draining >= GRACE_TICKS));
  }

  #newPod(replica: Replica, revision: string): Pod {
    return {
      replica,
      revision,
      starting: this.brokenRevisions.has(revision) ? Number.MAX_SAFE_INTEGER : this.startTicks,
      frozen: false,
      draining: undefined,
      generation: 0,
      epoch: 0,
      exposed: new Map(),
      loading: new Map(),
      acknowledged: new Set(),
    };
  }

  #obey(): void {
    const assigned = assignedSlots(this.state);
    for (const [shardId, pod] of [...this.pods, ...this.standbys]) {
      if (pod.starting > 0) pod.starting--;
      const slots = assigned.get(shardId);
      if (pod.starting > 0 || pod.frozen || slots === undefined) continue;
      const warm = new Set(slots.warm.map(({ migration }) => migration));
      const release = new Set(slots.release.flatMap((entry) => entry.slots));
      this.#load(pod, slots.owned);
      for (const [slot, reason] of pod.exposed) {
        // Like the real worker: it lets go when told, or when a warm-up is dropped, never by itself, except as a standby.
        const isDropped = this.standbys.get(shardId) === pod && reason === OWNED && !slots.owned.includes(slot);
        if (isDropped) pod.exposed.delete(slot);
        if (release.has(slot) || (reason !== OWNED && !warm.has(reason))) pod.exposed.delete(slot);
      }
      pod.generation = this.state.generation;
      pod.epoch = this.state.shards[shardId]?.epoch ?? 0;
    }
  }

  /** What it already exposes it goes on exposing; the rest takes its time. */
  #load({ exposed, loading }: Pod, owned: readonly number[]): void {
    for (const slot of loading.keys()) if (!owned.includes(slot)) loading.delete(slot);
    for (const slot of owned) {
      const left = exposed.has(slot) ? 0 : (loading.get(slot) ?? this.loadTicks);
      if (left > 0) loading.set(slot, left - 1);
      else {
        loading.delete(slot);
        exposed.set(slot, OWNED);
      }
    }
  }

  #report(): void {
    for (const shardId of Object.keys(this.state.shards)) {
      this.#reportStandby(shardId);
      const observation = this.#observe(shardId);
      const command = observation === undefined ? undefined : shardCommand(this.state, observation);
      if (command !== undefined) this.send(command);
      const shard = this.state.shards[shardId];
      const { statefulSets, surge } = desired(this.state);
      const exists = shardId === SURGE ? surge : ordinalOf(shardId) < (statefulSets[0]?.replicas ?? 0);
      if (shard !== undefined && !isWanted(this.state, shard) && !this.pods.has(shardId) && !exists) {
        this.send({ type: 'PodGone', shardId });
      }
    }
    for (const [shardId, pod] of this.pods) {
      if (pod.starting > 0 || pod.frozen || this.misjudged.has(shardId)) continue;
      for (const command of handoverCommands(this.state, shardId, this.#handovers(shardId, pod))) this.send(command);
    }
    for (const { id, step, committed, source, target, slots } of Object.values(this.state.migrations)) {
      if (step === 'Verification' && this.holdAt !== 'Verification' && this.pods.has(source) && this.pods.has(target)) {
        const equal = slots.every((slot) => this.pods.get(target)?.exposed.has(slot));
        this.send({ type: 'VerificationFinished', migration: id, equal, detail: equal ? 'same' : 'differs' });
      }
      if (step === 'Cleanup' && !committed && this.holdAt !== 'Cleanup') {
        this.send({ type: 'ScrapersMoved', migration: id, detail: 'all scrapers moved' });
      }
    }
  }

  /** The model's shell: a standby takes over from a worker that is silent, terminates, is outdated or surplus. */
  #reportStandby(shardId: ShardId): void {
    const [active, standby] = [this.pods.get(shardId), this.standbys.get(shardId)];
    const shard = this.state.shards[shardId];
    if (shard === undefined || standby === undefined || standby.starting > 0 || standby.frozen) return;
    if (standby.epoch < shard.epoch || standby.draining !== undefined || standby.loading.size > 0) return;
    const lost = shard.health !== 'Pending' && (active === undefined || active.frozen || active.starting > 0);
    const terminating = active?.draining !== undefined;
    const { replica, revision } = standby;
    const evidence = lost ? ['model: lost'] : [];
    const observation = { shardId, replica, revision, active: { lost, terminating }, evidence };
    if (isTakeoverDue(this.state, observation)) this.send({ type: 'StandbyReady', observation });
  }

  #observe(shardId: ShardId): ShardObservation | undefined {
    const pod = this.pods.get(shardId);
    const speaks = pod !== undefined && !pod.frozen && !this.misjudged.has(shardId);
    const silent = speaks && pod.starting === 0 ? 0 : (this.#silentFor.get(shardId) ?? 0) + 1;
    this.#silentFor.set(shardId, silent);
    const seen = (health: ShardObservation['health']): ShardObservation => ({
      shardId,
      health,
      evidence: [`model: ${health}`],
      revision: pod !== undefined && silent === 0 ? pod.revision : '',
      draining: pod?.draining !== undefined,
      generation: pod?.generation ?? 0,
      epoch: pod?.epoch ?? 0,
      shown: silent === 0 && pod?.loading.size === 0,
    });
    if (silent === 0) return seen(this.unable.has(shardId) ? 'Starting' : 'Healthy');
    if (this.state.shards[shardId]?.health === 'Pending' && pod !== undefined) return seen('Starting');
    if (silent >= SILENT_TICKS) return seen('Failed');
    return silent >= SILENT_TICKS / 2 ? seen('Suspect') : undefined;
  }

  #handovers(shardId: ShardId, pod: Pod): Handover[] {
    const slots = assignedSlots(this.state).get(shardId);
    // It speaks of the assignment that it has seen.
    if (slots === undefined || pod.epoch !== this.state.shards[shardId]?.epoch) return [];
    const releases =
      this.holdAt === 'Releasing'
        ? []
        : slots.release.map(
            ({ migration }): Handover => ({ migration, role: 'source', state: 'released', objects: 0 }),
          );
    if (this.holdAt === 'Preparation') return releases;
    const warms = slots.warm.flatMap(({ migration, slots: warm }): Handover[] => {
      const common = { migration, role: 'target' as const, objects: warm.length };
      const fault = pod.acknowledged.has(migration) ? undefined : this.faults.get(shardId);
      if (this.holdAt === 'Transfer') return [{ ...common, state: 'warming' }];
      this.faults.delete(shardId);
      if (fault === 'fail') return [{ ...common, state: 'failed', error: 'told to' }];
      if (!pod.acknowledged.has(migration)) for (const slot of warm) pod.exposed.set(slot, migration);
      if (fault === 'omit-one') pod.exposed.delete(warm[0] ?? -1);
      pod.acknowledged.add(migration);
      return [{ ...common, state: 'acknowledged', acknowledgedAt: this.now }];
    });
    return [...releases, ...warms];
  }
}

function isOfType<T extends ShardEvent['type']>(event: ShardEvent, type: T): event is Extract<ShardEvent, { type: T }> {
  return event.type === type;
}
