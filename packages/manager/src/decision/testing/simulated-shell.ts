import type { Handover } from '@shard-controller/shared/contracts';
import {
  assignedSlots,
  type CommandBody,
  isWanted,
  ordinalOf,
  type ShardConfigState,
  type ShardId,
  type ShardObservation,
  SURGE,
} from '../../aggregate/index.ts';
import { isTakeoverDue, shardCommand } from '../../health-monitor/index.ts';
import { handoverCommands } from '../../migration/index.ts';
import { desired } from '../desired.ts';
import type { HeldStep, SimulatedPod, TargetFault } from './simulated-pod.ts';

/** Ticks without a sign of life until a shard is reported Failed. */
const SILENT_TICKS = 4;

/** What a simulation shows to its shell, and where commands go. */
interface SimulatedCluster {
  readonly now: number;
  readonly state: ShardConfigState;
  readonly pods: ReadonlyMap<ShardId, SimulatedPod>;
  readonly standbys: ReadonlyMap<ShardId, SimulatedPod>;
  readonly faults: Map<ShardId, TargetFault>;
  readonly holdAt: HeldStep | undefined;
  readonly unable: ReadonlySet<ShardId>;
  readonly misjudged: ReadonlySet<ShardId>;
  send(command: CommandBody): void;
}

/** Reports to a simulation what the manager's shell would see of its pods. */
export class SimulatedShell {
  readonly #simulation: SimulatedCluster;
  readonly #silentFor = new Map<ShardId, number>();

  constructor(simulation: SimulatedCluster) {
    this.#simulation = simulation;
  }

  report(): void {
    const { misjudged, pods } = this.#simulation;
    for (const shardId of Object.keys(this.#simulation.state.shards)) this.#reportShard(shardId);
    for (const [shardId, pod] of pods) {
      if (pod.starting > 0 || pod.frozen || misjudged.has(shardId)) continue;
      for (const handover of this.#handovers(shardId, pod)) {
        // Compared one by one: what one of them decides may end the migration of the next.
        for (const command of handoverCommands(this.#simulation.state, shardId, [handover])) {
          this.#simulation.send(command);
        }
      }
    }
    this.#reportMigrations();
  }

  #reportShard(shardId: ShardId): void {
    const simulation = this.#simulation;
    this.#reportStandby(shardId);
    const observation = this.#observe(shardId);
    const command = observation === undefined ? undefined : shardCommand(simulation.state, observation);
    if (command !== undefined) simulation.send(command);
    const shard = simulation.state.shards[shardId];
    const { statefulSets, surge } = desired(simulation.state);
    const exists = shardId === SURGE ? surge : ordinalOf(shardId) < (statefulSets[0]?.replicas ?? 0);
    if (shard !== undefined && !isWanted(simulation.state, shard) && !simulation.pods.has(shardId) && !exists) {
      simulation.send({ type: 'PodGone', shardId });
    }
  }

  #reportMigrations(): void {
    const simulation = this.#simulation;
    const { holdAt, pods } = simulation;
    for (const id of Object.keys(simulation.state.migrations)) {
      // As it is now: what was reported of another one may have moved it on.
      const migration = simulation.state.migrations[id];
      if (migration === undefined) continue;
      const { step, committed, source, target, slots } = migration;
      if (step === 'Verification' && holdAt !== 'Verification' && pods.has(source) && pods.has(target)) {
        const equal = slots.every((slot) => pods.get(target)?.exposed.has(slot));
        simulation.send({ type: 'VerificationFinished', migration: id, equal, detail: equal ? 'same' : 'differs' });
      }
      if (step === 'Cleanup' && !committed && holdAt !== 'Cleanup') {
        simulation.send({ type: 'ScrapersMoved', migration: id, detail: 'all scrapers moved' });
      }
    }
  }

  /** A standby takes over from a worker that is silent, terminates, is outdated or surplus. */
  #reportStandby(shardId: ShardId): void {
    const { pods, standbys, state } = this.#simulation;
    const [active, standby] = [pods.get(shardId), standbys.get(shardId)];
    const shard = state.shards[shardId];
    if (shard === undefined || standby === undefined || standby.starting > 0 || standby.frozen) return;
    if (standby.epoch < shard.epoch || standby.draining !== undefined || standby.loading.size > 0) return;
    const lost = shard.health !== 'Pending' && (active === undefined || active.frozen || active.starting > 0);
    const terminating = active?.draining !== undefined;
    const { replica, revision } = standby;
    const evidence = lost ? ['simulation: lost'] : [];
    const observation = { shardId, replica, revision, active: { lost, terminating }, evidence };
    if (isTakeoverDue(state, observation)) this.#simulation.send({ type: 'StandbyReady', observation });
  }

  #observe(shardId: ShardId): ShardObservation | undefined {
    const { misjudged, pods, state, unable } = this.#simulation;
    const pod = pods.get(shardId);
    const speaks = pod !== undefined && !pod.frozen && !misjudged.has(shardId);
    const silent = speaks && pod.starting === 0 ? 0 : (this.#silentFor.get(shardId) ?? 0) + 1;
    this.#silentFor.set(shardId, silent);
    const seen = (health: ShardObservation['health']): ShardObservation => ({
      shardId,
      health,
      evidence: [`simulation: ${health}`],
      revision: pod !== undefined && silent === 0 ? pod.revision : '',
      draining: pod?.draining !== undefined,
      generation: pod?.generation ?? 0,
      epoch: pod?.epoch ?? 0,
      shown: silent === 0 && pod?.loading.size === 0,
    });
    if (silent === 0) return seen(unable.has(shardId) ? 'Starting' : 'Healthy');
    if (state.shards[shardId]?.health === 'Pending' && pod !== undefined) return seen('Starting');
    if (silent >= SILENT_TICKS) return seen('Failed');
    return silent >= SILENT_TICKS / 2 ? seen('Suspect') : undefined;
  }

  #handovers(shardId: ShardId, pod: SimulatedPod): Handover[] {
    const { faults, holdAt, now, state } = this.#simulation;
    const slots = assignedSlots(state).get(shardId);
    // It speaks of the assignment that it has seen.
    if (slots === undefined || pod.epoch !== state.shards[shardId]?.epoch) return [];
    return pod.handovers(slots, now, holdAt, () => {
      const fault = faults.get(shardId);
      faults.delete(shardId);
      return fault;
    });
  }
}
