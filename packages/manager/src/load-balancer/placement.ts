import {
  awaitedShards,
  failedOwners,
  isLoaded,
  isRolling,
  isWanted,
  migratingSlots,
  type MigrationCause,
  openMigrations,
  pairOf,
  pausedPairs,
  projectedOwners,
  failoverTargets,
  type ShardEvent,
  type ShardId,
  shardsOf,
  type ShardState,
  type SlotIndex,
  slotsOf,
  targetsOf,
  type View,
} from '../aggregate/index.ts';
import { type Move, planBalance, type PlanInput, planFailover } from './planner.ts';
import { strategyNamed } from './strategies/index.ts';

/** Slots that move together: from one shard to one other. */
export interface Transfer {
  readonly from: ShardId | null;
  readonly to: ShardId;
  readonly slots: readonly SlotIndex[];
}

/** Slots whose owner is lost, or that have none. */
export function orphans({ state }: View): ReadonlySet<SlotIndex> {
  const failed = new Set(failedOwners(state).map((shard) => shard.shardId));
  return new Set(state.owners.flatMap((owner, slot) => (owner === null || failed.has(owner) ? [slot] : [])));
}

/** New owners for `lost` slots, at once: nothing else moves. */
export function failoverPlacement(view: View, lost: ReadonlySet<SlotIndex>): readonly Transfer[] {
  return place(view, failoverTargets(view.state), lost);
}

function place(view: View, to: readonly ShardState[], slots: ReadonlySet<SlotIndex>): readonly Transfer[] {
  if (slots.size === 0) return [];
  return transfers(planFailover(planInput(view, to, slots), strategyNamed(view.settings.strategy)));
}

/**
 * New owners for the slots of shards that have been starting (or recovering) for longer than is worth waiting for: those
 * that have room, or after a longer grace any that can serve.
 */
export function stalledStarts(view: View): readonly Transfer[] {
  const { state, settings } = view;
  const { startGraceMs, startGraceWithRoomMs } = settings.failover;
  const waited = shardsOf(state)
    .filter(({ health }) => health === 'Pending' || health === 'Recovering')
    .map((shard) => ({ slots: slotsOf(state, shard.shardId), ms: standstillOf(view, shard) }));
  const slotsAfter = (graceMs: number): ReadonlySet<SlotIndex> =>
    new Set(waited.filter(({ ms }) => ms >= graceMs).flatMap(({ slots }) => slots));
  const late = slotsAfter(startGraceMs);
  if (late.size > 0) return place(view, failoverTargets(state), late);
  const early = slotsAfter(startGraceWithRoomMs);
  return early.size > 0 && hasRoomFor(view, early) ? place(view, roomyShards(view), early) : [];
}

/** Whether a shard does not show all of its slots yet, and makes progress with it: what it is to hold cannot be verified. */
function isGettingOn(view: View, shard: ShardState): boolean {
  const { standstillMs = 0 } = view.progress?.[shard.shardId] ?? {};
  const { startGraceMs } = view.settings.failover;
  return shard.health === 'Healthy' && standstillMs < startGraceMs && !isLoaded(view, shard);
}

/** How long a starting shard has not got on, ms. Of one that is not heard, only that it has been starting is known. */
function standstillOf({ progress = {}, now }: View, { shardId, since }: ShardState): number {
  const load = progress[shardId];
  return load === undefined || load.complete ? now - since : load.standstillMs;
}

/** Shards that take slots and have nothing on its way themselves. */
function roomyShards({ state, progress = {} }: View): readonly ShardState[] {
  return targetsOf(state).filter(({ shardId, epoch }) => {
    const load = progress[shardId];
    return load === undefined || (load.complete && load.generation === state.generation && load.epoch >= epoch);
  });
}

/**
 * Whether the healthy shards that show all of their own slots could hold `slots` besides without going past their
 * capacity. The objects of `slots` are estimated from those of these shards, because the lost ones can no longer be asked.
 */
export function hasRoomFor(view: View, slots: ReadonlySet<SlotIndex>): boolean {
  const { state, settings, objects } = view;
  const targets = roomyShards(view);
  const owned = targets.reduce((sum, { shardId }) => sum + slotsOf(state, shardId).length, 0);
  const known = targets.map(({ shardId }) => objects[shardId]).filter((count) => count !== undefined);
  if (known.length < targets.length || owned === 0) return false;
  const held = known.reduce((sum, count) => sum + count, 0);
  return (held / owned) * (owned + slots.size) <= settings.capacity.objects * targets.length;
}

/** How many shards that owned slots failed just now make a mass failure. */
function massThreshold({ state, settings }: View): number {
  return Math.max(settings.failover.massMinimum, Math.ceil(settings.failover.massFraction * state.desiredShards));
}

export function isMassFailure(view: View): boolean {
  const { state, settings, now } = view;
  const recent = state.failover.recent.filter(({ at }) => now - at <= settings.failover.massWindowMs);
  return recent.length >= massThreshold(view);
}

/** Moves away from shards that terminate; they cannot wait for others to be ready. */
export function evacuation(view: View): readonly Transfer[] {
  const { state } = view;
  const migrating = migratingSlots(state);
  const leavingSlots = (of: readonly ShardState[]): ReadonlySet<SlotIndex> =>
    new Set(of.flatMap(({ shardId }) => slotsOf(state, shardId).filter((slot) => !migrating.has(slot))));
  const draining = drainingOwners(state);
  const trusted = trustedTargets(view);
  if (trusted.length > 0) return withoutOpenPairs(view, place(view, trusted, leavingSlots(draining)));
  const paused = new Set(pausedPairs(view).map(({ source, target }) => pairOf(source, target)));
  const moves = draining.flatMap((shard) => {
    const others = targetsOf(state).filter(({ shardId }) => !paused.has(pairOf(shard.shardId, shardId)));
    return place(view, others, leavingSlots([shard]));
  });
  return withoutOpenPairs(view, moves);
}

/** Targets to which no migration was rolled back of late. */
function trustedTargets(view: View): readonly ShardState[] {
  const failed = new Set(pausedPairs(view).map(({ target }) => target));
  return targetsOf(view.state).filter(({ shardId }) => !failed.has(shardId));
}

const drainingOwners = (state: View['state']): readonly ShardState[] =>
  shardsOf(state).filter((shard) => shard.draining && (shard.health === 'Healthy' || shard.health === 'Suspect'));

/**
 * Moves that empty unwanted shards and bring the counts of the others within one of each other, as far as that can be
 * done without targets that failed of late.
 */
export const rebalancing = (view: View): readonly Transfer[] => balanceAmong(view, trustedTargets(view));

function balanceAmong(view: View, targets: readonly ShardState[]): readonly Transfer[] {
  const { state } = view;
  const unwanted = new Set(
    shardsOf(state)
      .filter((shard) => !isWanted(state, shard) && shard.health === 'Healthy')
      .map((shard) => shard.shardId),
  );
  const leaving = new Set(state.owners.flatMap((owner, slot) => (owner !== null && unwanted.has(owner) ? [slot] : [])));
  return transfers(planBalance(planInput(view, targets, leaving), strategyNamed(view.settings.strategy)));
}

/** Why no rebalancing may be planned now, or undefined. */
export function rebalancingHold(view: View): string | undefined {
  const { state, settings } = view;
  if (settings.mode === 'Paused') return 'mode is Paused';
  if (isRolling(state)) return 'a rolling update is in progress';
  if (openMigrations(state).length > 0) return `${openMigrations(state).length} migrations are open`;
  if (state.failover.held !== null || failedOwners(state).length > 0) return 'a failover is not finished';
  const loading = shardsOf(state)
    .filter((shard) => isGettingOn(view, shard))
    .map(({ shardId }) => `${shardId} (loading)`);
  const awaited = [...awaitedShards(view).map(({ shardId, health }) => `${shardId} (${health})`), ...loading];
  if (awaited.length > 0) return `waiting for ${awaited.join(', ')}`;
  return targetsOf(state).length === 0 ? 'no shard can take slots' : retryHold(view);
}

/** Which roll-backs keep everything that is left to be balanced from being tried again, or undefined. */
function retryHold(view: View): string | undefined {
  const paused = pausedPairs(view);
  if (paused.length === 0 || rebalancing(view).length > 0) return undefined;
  if (balanceAmong(view, targetsOf(view.state)).length === 0) return undefined;
  const pairs = paused.map(({ source, target }) => `${source} -> ${target}`).join(', ');
  const nextMs = Math.min(...paused.map(({ until }) => until)) - view.now;
  return `migrations were rolled back (${pairs}); next try in ${seconds(nextMs)}`;
}

/**
 * Most migrations that are open at a time, waiting ones included: their plan, and what may befall them all at once, has
 * to fit into one message of the log.
 */
const MOST_OPEN = 64;

/** One planned migration per transfer, for as many as may be open; the others are planned when those have ended. */
export function plannedMigrations(
  { state, now }: View,
  moves: readonly Transfer[],
  why: (transfer: Transfer) => { readonly cause: MigrationCause; readonly reason: string },
): readonly ShardEvent[] {
  const room = Math.max(0, MOST_OPEN - openMigrations(state).length);
  return moves.slice(0, room).flatMap((transfer, i): ShardEvent[] => {
    const { from, to, slots } = transfer;
    if (from === null) return [];
    const id = `g${state.generation}-m${state.nextMigration + i}`;
    return [
      {
        type: 'shard.migration.planned.v1',
        at: now,
        id,
        source: from,
        target: to,
        slots: [...slots],
        ...why(transfer),
      },
    ];
  });
}

/** Cause of a rebalancing move: what made the counts differ. */
export function causeOf({ state }: View, { from, to }: Transfer): MigrationCause {
  const source = from === null ? undefined : state.shards[from];
  if (source !== undefined && !isWanted(state, source)) return 'resize';
  const target = state.shards[to];
  if (target === undefined || state.owners.includes(to)) return 'rebalance';
  return target.hasServed ? 'recovery' : 'resize';
}

function planInput(view: View, targets: readonly ShardState[], lost: ReadonlySet<SlotIndex>): PlanInput {
  const { state, objects } = view;
  return {
    owners: projectedOwners(state),
    targets: targets.map(({ shardId }) => ({ shardId, objects: objects[shardId] })),
    orphans: lost,
    pinned: migratingSlots(state),
  };
}

function transfers(moves: readonly Move[]): readonly Transfer[] {
  const groups = Map.groupBy(moves, ({ from, to }) => `${from ?? ''}>${to}`);
  return [...groups.values()].flatMap((group) => {
    const first = group[0];
    return first === undefined ? [] : [{ from: first.from, to: first.to, slots: group.map((move) => move.slot) }];
  });
}

/** At most one open migration per pair of shards; the rest of the moves is planned again when it has ended. */
function withoutOpenPairs({ state }: View, moves: readonly Transfer[]): readonly Transfer[] {
  const open = new Set(openMigrations(state).map(({ source, target }) => `${source}>${target}`));
  return moves.filter(({ from, to }) => !open.has(`${from ?? ''}>${to}`));
}

export const seconds = (ms: number): string => `${Math.ceil(ms / 1000)} s`;
