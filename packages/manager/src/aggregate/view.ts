import type { Replica } from '@shard-controller/shared/contracts';
import type { CommandContext } from './commands.ts';
import type { Settings } from './settings.ts';
import {
  type Backoff,
  type MigrationState,
  pairOf,
  type ShardConfigState,
  type ShardId,
  type ShardState,
  type SlotIndex,
  SURGE_ORDINAL,
} from './state.ts';

/** What a decision is made from: the state, its settings, the time and the newest figures. */
export interface View extends CommandContext {
  readonly state: ShardConfigState;
  readonly settings: Settings;
}

/** Shards by ordinal. */
export function shardsOf(state: ShardConfigState): readonly ShardState[] {
  return Object.values(state.shards).sort((a, b) => a.ordinal - b.ordinal);
}

/** Whether `shard` should exist: up to the desired number, or the surge worker of a rollout. */
export function isWanted(state: ShardConfigState, shard: ShardState): boolean {
  return shard.ordinal < state.desiredShards || state.rollout?.surge === shard.shardId;
}

/** The surge worker, which is no regular shard. */
export const isSurge = ({ ordinal }: ShardState): boolean => ordinal >= SURGE_ORDINAL;

/** Whether it answers scrapes, as far as is known: a suspect has only been silent for a moment. */
export const isServing = ({ health }: ShardState): boolean => health === 'Healthy' || health === 'Suspect';

/** Whether a rolling update moves slots: its revision is proved. Before that nothing waits for it. */
export const isRolling = ({ rollout, template }: ShardConfigState): boolean =>
  rollout !== null && rollout.revision === template;

/** The replicas that run now: b too where a standby is wanted, and for as long as some shard is served by it. */
export function replicasOf(state: ShardConfigState): readonly Replica[] {
  const isUsed =
    state.settings?.replicasPerShard === 2 || Object.values(state.shards).some(({ active }) => active === 'b');
  return isUsed ? ['a', 'b'] : ['a'];
}

/** The wanted shards without the surge worker, by ordinal. */
export function regularShards(state: ShardConfigState): readonly ShardState[] {
  return shardsOf(state).filter((shard) => shard.ordinal < state.desiredShards);
}

/** Runs another worker template than the wanted one; false while its revision is not known. */
export function isOutdated(state: ShardConfigState, shard: ShardState): boolean {
  return shard.revision !== '' && shard.revision !== state.revision;
}

/** Whether slots may be moved to `shard`. */
export function isTarget(state: ShardConfigState, shard: ShardState): boolean {
  const leaving = state.rollout?.replacing === shard.shardId && isOutdated(state, shard);
  return shard.health === 'Healthy' && !shard.draining && shard.stale === null && isWanted(state, shard) && !leaving;
}

export function targetsOf(state: ShardConfigState): readonly ShardState[] {
  return shardsOf(state).filter((shard) => isTarget(state, shard));
}

/**
 * Where slots go whose owner is lost: to the targets, or if there is none, to any healthy shard that is still there, at
 * last even to one that still has slots to release: it then keeps those of them that it gets back.
 */
export function failoverTargets(state: ShardConfigState): readonly ShardState[] {
  const targets = targetsOf(state);
  if (targets.length > 0) return targets;
  const able = shardsOf(state).filter((shard) => shard.health === 'Healthy' && !shard.draining);
  const clean = able.filter((shard) => shard.stale === null);
  return clean.length > 0 ? clean : able;
}

/** Lost slots that `shard` has to release. */
export function slotsToRelease({ stale }: ShardState): readonly SlotIndex[] {
  if (stale === null || stale.kept.length === 0) return stale?.slots ?? [];
  const kept = new Set(stale.kept);
  return stale.slots.filter((slot) => !kept.has(slot));
}

/** Shards that keep exposing slots until `shardId`, which owns them now, shows them. */
export function keepersFor(state: ShardConfigState, shardId: ShardId): readonly ShardState[] {
  const keeping = Object.values(state.shards).filter(({ stale }) => stale !== null && stale.kept.length > 0);
  return keeping.filter(({ stale }) => stale?.kept.some((slot) => state.owners[slot] === shardId));
}

/** Slots that `shardId` is responsible for, ascending. */
export function slotsOf(state: ShardConfigState, shardId: ShardId): readonly SlotIndex[] {
  return state.owners.flatMap((owner, slot) => (owner === shardId ? [slot] : []));
}

/**
 * Whether a scrape of `shard` shows all slots that it is responsible for, as far as is known. Those of a committed move
 * were shown before it; what it says of an older assignment does not cover slots that it got without a move.
 */
export function isLoaded({ state, progress = {} }: Pick<View, 'state' | 'progress'>, shard: ShardState): boolean {
  const load = progress[shard.shardId];
  if (load === undefined) return true;
  const moved = openMigrations(state)
    .filter(({ target, committed }) => committed && target === shard.shardId)
    .reduce((sum, { slots }) => sum + slots.length, 0);
  return load.shownSlots >= slotsOf(state, shard.shardId).length - moved;
}

export function openMigrations(state: ShardConfigState): readonly MigrationState[] {
  return Object.values(state.migrations);
}

/** Slots of open migrations; they stay as they are until it ends. */
export function migratingSlots(state: ShardConfigState): ReadonlySet<SlotIndex> {
  return new Set(openMigrations(state).flatMap((m) => m.slots));
}

/** Owners as they will be when all open migrations succeed. */
export function projectedOwners(state: ShardConfigState): (ShardId | null)[] {
  const owners = [...state.owners];
  for (const { slots, target } of openMigrations(state)) {
    for (const slot of slots) if (owners[slot] !== null) owners[slot] = target;
  }
  return owners;
}

/** Neither responsible for a slot nor exposing or about to expose one: its pod can go without a gap. */
export function isIdle(state: ShardConfigState, shard: ShardState): boolean {
  return (
    shard.stale === null &&
    !state.owners.includes(shard.shardId) &&
    !openMigrations(state).some((m) => m.source === shard.shardId || m.target === shard.shardId)
  );
}

/** So long after the end of its wait a roll-back still counts as the one before the next, ms. */
const FAILURES_REMEMBERED_MS = 600_000;

/** Migrations from `source` to `target` that were rolled back in a row, as far as that is not long ago. */
export function failuresOf(state: ShardConfigState, source: ShardId, target: ShardId, now: number): number {
  const backoff = state.backoffs[pairOf(source, target)];
  return backoff === undefined || now - backoff.until > FAILURES_REMEMBERED_MS ? 0 : backoff.failures;
}

/** Pairs of shards between which no migration is planned now. */
export function pausedPairs({ state, now }: Pick<View, 'state' | 'now'>): readonly Backoff[] {
  return Object.values(state.backoffs).filter(({ until }) => now < until);
}

/** Owners that are lost: their slots need a new owner. */
export function failedOwners(state: ShardConfigState): readonly ShardState[] {
  return shardsOf(state).filter((shard) => shard.health === 'Failed' && state.owners.includes(shard.shardId));
}

/**
 * Shards that a plan should wait for: wanted, unable to take slots, but in that condition for less than the start
 * grace. Planning without them would move slots twice.
 */
export function awaitedShards({ state, settings, now }: View): readonly ShardState[] {
  return shardsOf(state).filter(
    (shard) =>
      isWanted(state, shard) &&
      !isSurge(shard) &&
      !isTarget(state, shard) &&
      now - shard.since < settings.failover.startGraceMs,
  );
}
