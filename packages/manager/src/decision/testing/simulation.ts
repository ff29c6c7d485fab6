import { activeReplicaOf, type Replica } from '@shard-controller/shared/contracts';
import { rangesToSlots } from '@shard-controller/shared/hashing';
import {
  assignedSlots,
  type Command,
  type CommandBody,
  defaultSettings,
  evolve,
  initialState,
  ordinalOf,
  type Settings,
  type ShardConfigState,
  type ShardEvent,
  type ShardId,
  shardIdOf,
  SURGE,
} from '../../aggregate/index.ts';
import { type Decide, decide, type Decision } from '../decide.ts';
import { desired } from '../desired.ts';
import { type HeldStep, SimulatedPod, type TargetFault } from './simulated-pod.ts';
import { SimulatedShell } from './simulated-shell.ts';

export interface RecordedDecision {
  readonly state: ShardConfigState;
  readonly command: Command;
  readonly decision: Decision;
}

const TICK_MS = 1_000;
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
 * A cluster that does what it is told, for running decisions to their end: pods start, warm, acknowledge, release and die
 * as in a real one, only instantly and without any I/O. It keeps the log, so that a run can be folded again.
 */
export class Simulation {
  now = 1_000_000;
  state: ShardConfigState = initialState;
  readonly log: { readonly sequence: number; readonly event: ShardEvent }[] = [];
  /** Every decision: what it was made from, and what it was. */
  readonly decisions: RecordedDecision[] = [];
  readonly rejections: string[] = [];
  /** Active workers: those that the state calls so. Only they are scraped. */
  readonly pods = new Map<ShardId, SimulatedPod>();
  readonly standbys = new Map<ShardId, SimulatedPod>();
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
  readonly #shell = new SimulatedShell(this);
  readonly #decide: Decide;
  readonly #onDecision: (simulation: Simulation) => void;
  #settings: Settings;
  #revision = 'r1';
  /** What the StatefulSets make pods from. */
  #template = 'r1';
  #specGeneration = 1;

  constructor(options: { settings?: Settings; decide?: Decide; onDecision?: (simulation: Simulation) => void } = {}) {
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
    this.#shell.report();
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

  #newPod(replica: Replica, revision: string): SimulatedPod {
    return new SimulatedPod(
      replica,
      revision,
      this.brokenRevisions.has(revision) ? Number.MAX_SAFE_INTEGER : this.startTicks,
    );
  }

  #obey(): void {
    const assigned = assignedSlots(this.state);
    const { generation, shards } = this.state;
    for (const [shardId, pod] of [...this.pods, ...this.standbys]) {
      const isStandby = this.standbys.get(shardId) === pod;
      const epoch = shards[shardId]?.epoch ?? 0;
      pod.tick(assigned.get(shardId), { generation, epoch, isStandby, loadTicks: this.loadTicks });
    }
  }

  #ends(shardId: ShardId, pod: SimulatedPod, isStandby: boolean): boolean {
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
}

function isOfType<T extends ShardEvent['type']>(event: ShardEvent, type: T): event is Extract<ShardEvent, { type: T }> {
  return event.type === type;
}
