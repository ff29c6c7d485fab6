import { withEpochs } from './assignment.ts';
import type { EventOf, ShardEvent } from './events.ts';
import { recoveredState } from './log-recovery.ts';
import {
  type LostSlots,
  type MigrationId,
  type MigrationState,
  pairOf,
  pendingShard,
  type RolloutState,
  type ShardConfigState,
  type ShardId,
  shardIdOf,
  type ShardState,
  type SlotIndex,
} from './state.ts';
import { failedOwners, failuresOf } from './view.ts';

/**
 * The state after `event`. Total and pure: it decides nothing and checks nothing, because the log is the truth.
 * @param sequence JetStream sequence of the event; becomes the epoch of the assignments that the event changes.
 */
export function evolve(state: ShardConfigState, event: ShardEvent, sequence: number): ShardConfigState {
  const next = withEpochs(state, apply(state, event), sequence);
  const lastDecision = 'reason' in event ? { type: event.type, at: event.at, reason: event.reason } : next.lastDecision;
  return { ...next, sequence, lastDecision };
}

function apply(state: ShardConfigState, event: ShardEvent): ShardConfigState {
  switch (event.type) {
    case 'shard.config.accepted.v1':
      return accepted(state, event);
    case 'shard.config.rejected.v1':
      return { ...state, rejected: { specGeneration: event.specGeneration, problems: event.problems } };
    case 'shard.config.deleted.v1':
      return { ...state, deleted: true };
    case 'shard.scaled.v1':
      return scaled(state, event);
    case 'shard.load.crossed.v1':
      return { ...state, scaling: { ...state.scaling, band: event.band, bandSince: event.at } };
    case 'shard.health.changed.v1':
      return healthChanged(state, event);
    case 'shard.reported.v1':
      return reported(state, event);
    case 'shard.removed.v1':
      return { ...state, shards: without(state.shards, event.shardId) };
    case 'shard.standby.promoted.v1':
      // What was known of the terminating one does not hold for the other.
      return withShard(state, event.shardId, { active: event.to, draining: false });
    case 'shard.slots.assigned.v1':
      return slotsAssigned(state, event);
    case 'shard.slots.shown.v1':
      return slotsShown(state, event);
    case 'shard.failover.held.v1':
      return {
        ...state,
        failover: { ...state.failover, held: { since: event.at, until: event.until, shards: event.shards } },
      };
    case 'shard.failover.resumed.v1':
      return { ...state, failover: { ...state.failover, held: null } };
    case 'shard.release.confirmed.v1':
      return releaseConfirmed(state, event);
    case 'shard.migration.planned.v1':
      return migrationPlanned(state, event);
    case 'shard.migration.started.v1':
      return withMigration(state, event.id, { step: 'Preparation', deadline: event.deadline });
    case 'shard.migration.transferring.v1':
      return withMigration(state, event.id, { step: 'Transfer', deadline: event.deadline });
    case 'shard.migration.acknowledged.v1':
      return withMigration(state, event.id, {
        step: 'Verification',
        deadline: event.deadline,
        acknowledgedAt: event.acknowledgedAt,
      });
    case 'shard.migration.verified.v1':
      return withMigration(state, event.id, { step: 'Cleanup', deadline: event.deadline });
    case 'shard.migration.committed.v1':
      return migrationCommitted(state, event);
    case 'shard.migration.completed.v1':
      return migrationCompleted(state, event);
    case 'shard.migration.rolledback.v1':
      return migrationRolledBack(state, event);
    case 'shard.rollout.started.v1':
      return {
        ...state,
        rollout: {
          startedAt: event.at,
          revision: event.revision,
          surge: event.surge,
          shards: state.desiredShards,
          replacing: null,
          progressAt: event.at,
        },
        stalledRollout: null,
        shards: withPending(state.shards, event.surge, event.at),
      };
    case 'shard.rollout.proved.v1':
      return withRollout({ ...state, template: event.revision }, { shards: state.desiredShards, progressAt: event.at });
    case 'shard.rollout.replacing.v1':
      return withRollout(state, { replacing: event.shardId, progressAt: event.at });
    case 'shard.rollout.ended.v1':
      return {
        ...state,
        rollout: null,
        stalledRollout:
          event.outcome === 'stalled'
            ? { revision: event.revision, at: event.at, shards: event.shards ?? [], reason: event.reason }
            : null,
      };
    case 'shard.rollout.completed.v1':
      return { ...state, rollout: null, template: event.revision };
    case 'shard.log.recovered.v1':
      return recoveredState(event);
  }
  return event satisfies never;
}

function accepted(state: ShardConfigState, event: EventOf<'shard.config.accepted.v1'>): ShardConfigState {
  const { uid, namespace, name, specGeneration, settings, revision } = event;
  const stalledRollout = state.stalledRollout?.revision === revision ? state.stalledRollout : null;
  const next = { ...state, uid, namespace, name, specGeneration, settings, revision, rejected: null, stalledRollout };
  if (state.settings !== null) return next;
  return {
    ...next,
    template: revision,
    createdAt: event.at,
    owners: Array.from({ length: settings.slotCount }, () => null),
    scaling: { ...state.scaling, bandSince: event.at },
  };
}

function scaled(state: ShardConfigState, event: EventOf<'shard.scaled.v1'>): ShardConfigState {
  let shards = state.shards;
  for (let ordinal = 0; ordinal < event.to; ordinal++) shards = withPending(shards, shardIdOf(ordinal), event.at);
  return {
    ...state,
    desiredShards: event.to,
    shards,
    scaling: { band: 'within', bandSince: event.at, lastScaleAt: event.at },
  };
}

function healthChanged(state: ShardConfigState, event: EventOf<'shard.health.changed.v1'>): ShardConfigState {
  const { shardId, to, at } = event;
  const next = withShard(state, shardId, {
    health: to,
    since: at,
    // A new process starts without the SIGTERM of the old one.
    ...(to === 'Pending' || to === 'Failed' ? { draining: false } : {}),
  });
  if (to !== 'Failed') return next;
  const oldest = at - (state.settings?.failover.massWindowMs ?? 0);
  const recent = [...state.failover.recent.filter((f) => f.at >= oldest && f.shardId !== shardId), { shardId, at }];
  return { ...next, failover: { ...state.failover, recent } };
}

function reported(state: ShardConfigState, event: EventOf<'shard.reported.v1'>): ShardConfigState {
  const { shardId, revision, draining, at } = event;
  const next = withShard(state, shardId, { revision, draining });
  return state.rollout?.replacing === shardId ? withRollout(next, { progressAt: at }) : next;
}

function slotsAssigned(state: ShardConfigState, event: EventOf<'shard.slots.assigned.v1'>): ShardConfigState {
  const owners = [...state.owners];
  let next = state;
  for (const { from, to, slots } of event.moves) {
    for (const slot of slots) owners[slot] = to;
    const release = event.releases.find((r) => r.shardId === from);
    if (from !== null && release !== undefined) next = withStale(next, from, release.id, slots, event.releaseWhen);
    next = withShard(withoutRelease(next, to, slots), to, { hasServed: true });
  }
  // A hold that is over stays so for what a large failover has left to be moved.
  const isOver = event.cause === 'failover' && failedOwners({ ...next, owners }).length === 0;
  return {
    ...next,
    owners,
    nextMigration: state.nextMigration + event.releases.length,
    failover: isOver ? { ...state.failover, held: null } : state.failover,
  };
}

/** Former owners may let go of what `event.shardId` owns: each under a new id, because an old one may be confirmed late. */
function slotsShown(state: ShardConfigState, event: EventOf<'shard.slots.shown.v1'>): ShardConfigState {
  let next: ShardConfigState = { ...state, nextMigration: state.nextMigration + event.releases.length };
  for (const { shardId, id } of event.releases) {
    const stale = state.shards[shardId]?.stale;
    if (stale === null || stale === undefined) continue;
    const kept = stale.kept.filter((slot) => state.owners[slot] !== event.shardId);
    next = withShard(next, shardId, { stale: { ...stale, id, kept } });
  }
  return next;
}

function releaseConfirmed(state: ShardConfigState, event: EventOf<'shard.release.confirmed.v1'>): ShardConfigState {
  const stale = state.shards[event.shardId]?.stale;
  if (stale?.id !== event.id) return state;
  return withShard(state, event.shardId, { stale: lost({ ...stale, slots: stale.kept }) });
}

/** `shardId` owns `slots` again: it must not be told to release them. An emptied migration has nothing left to do. */
function withoutRelease(state: ShardConfigState, shardId: ShardId, slots: readonly SlotIndex[]): ShardConfigState {
  const migrations: Record<MigrationId, MigrationState> = {};
  for (const migration of Object.values(state.migrations)) {
    const kept = migration.source === shardId ? migration.slots.filter((s) => !slots.includes(s)) : migration.slots;
    if (kept.length === migration.slots.length) migrations[migration.id] = migration;
    else if (kept.length > 0) migrations[migration.id] = { ...migration, slots: kept };
  }
  const stale = state.shards[shardId]?.stale ?? null;
  if (stale === null) return { ...state, migrations };
  const others = (of: readonly SlotIndex[]): SlotIndex[] => of.filter((slot) => !slots.includes(slot));
  const left = lost({ ...stale, slots: others(stale.slots), kept: others(stale.kept) });
  return withShard({ ...state, migrations }, shardId, { stale: left });
}

function migrationPlanned(state: ShardConfigState, event: EventOf<'shard.migration.planned.v1'>): ShardConfigState {
  const migration: MigrationState = {
    id: event.id,
    cause: event.cause,
    source: event.source,
    target: event.target,
    slots: event.slots,
    step: 'Planning',
    committed: false,
    sourceLost: false,
    plannedAt: event.at,
    deadline: null,
    acknowledgedAt: null,
  };
  return {
    ...state,
    migrations: { ...state.migrations, [event.id]: migration },
    nextMigration: state.nextMigration + 1,
  };
}

function migrationCommitted(state: ShardConfigState, event: EventOf<'shard.migration.committed.v1'>): ShardConfigState {
  const migration = state.migrations[event.id];
  if (migration === undefined) return state;
  const owners = [...state.owners];
  for (const slot of migration.slots) owners[slot] = migration.target;
  const deadline = event.at + (state.settings?.handover.transferTimeoutMs ?? 0);
  const sourceLost = event.because === 'source-lost';
  const moved = withMigration(state, event.id, { step: 'Cleanup', committed: true, sourceLost, deadline });
  const next = migration.cause === 'rollout' ? withRollout(moved, { progressAt: event.at }) : moved;
  return { ...withShard(next, migration.target, { hasServed: true }), owners };
}

function migrationCompleted(state: ShardConfigState, event: EventOf<'shard.migration.completed.v1'>): ShardConfigState {
  const migration = state.migrations[event.id];
  const next = { ...state, migrations: without(state.migrations, event.id) };
  if (migration === undefined) return next;
  const { source, target, slots } = migration;
  const after = { ...next, backoffs: without(state.backoffs, pairOf(source, target)) };
  if (event.release === undefined) return after;
  return {
    ...withStale(after, source, event.release, slots, event.releaseWhen),
    nextMigration: state.nextMigration + 1,
  };
}

function migrationRolledBack(
  state: ShardConfigState,
  event: EventOf<'shard.migration.rolledback.v1'>,
): ShardConfigState {
  const next = { ...state, migrations: without(state.migrations, event.id) };
  const migration = state.migrations[event.id];
  if (migration === undefined || event.retryAt <= event.at) return next;
  const { source, target } = migration;
  const failures = failuresOf(state, source, target, event.at) + 1;
  const alive = Object.entries(state.backoffs).filter(([, b]) => failuresOf(state, b.source, b.target, event.at) > 0);
  const backoff = { source, target, failures, until: event.retryAt, reason: event.reason };
  return { ...next, backoffs: { ...Object.fromEntries(alive), [pairOf(source, target)]: backoff } };
}

function withStale(
  state: ShardConfigState,
  shardId: ShardId,
  id: MigrationId,
  slots: readonly SlotIndex[],
  releaseWhen: 'shown' | undefined,
): ShardConfigState {
  const shard = state.shards[shardId];
  if (shard === undefined) return state;
  const before = shard.stale ?? { slots: [], kept: [] };
  const kept =
    releaseWhen === 'shown' ? union(before.kept, slots) : before.kept.filter((slot) => !slots.includes(slot));
  return withShard(state, shardId, { stale: { id, slots: union(before.slots, slots), kept } });
}

const union = (a: readonly SlotIndex[], b: readonly SlotIndex[]): SlotIndex[] =>
  [...new Set([...a, ...b])].sort((x, y) => x - y);

const lost = (stale: LostSlots): LostSlots | null => (stale.slots.length === 0 ? null : stale);

function withShard(state: ShardConfigState, shardId: ShardId, change: Partial<ShardState>): ShardConfigState {
  const shard = state.shards[shardId];
  return shard === undefined ? state : { ...state, shards: { ...state.shards, [shardId]: { ...shard, ...change } } };
}

const withRollout = (state: ShardConfigState, change: Partial<RolloutState>): ShardConfigState =>
  state.rollout === null ? state : { ...state, rollout: { ...state.rollout, ...change } };

function withMigration(state: ShardConfigState, id: MigrationId, change: Partial<MigrationState>): ShardConfigState {
  const migration = state.migrations[id];
  if (migration === undefined) return state;
  return { ...state, migrations: { ...state.migrations, [id]: { ...migration, ...change } } };
}

function withPending(
  shards: Readonly<Record<ShardId, ShardState>>,
  shardId: ShardId,
  at: number,
): Readonly<Record<ShardId, ShardState>> {
  return shards[shardId] === undefined ? { ...shards, [shardId]: pendingShard(shardId, at) } : shards;
}

function without<T>(record: Readonly<Record<string, T>>, key: string): Readonly<Record<string, T>> {
  return Object.fromEntries(Object.entries(record).filter(([k]) => k !== key));
}
