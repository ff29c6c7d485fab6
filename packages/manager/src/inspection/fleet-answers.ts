import { createHash } from 'node:crypto';
import { type InspectionItem, MAX_MIGRATIONS_NAMED } from '@shard-controller/shared/contracts';
import { slotsToRanges } from '@shard-controller/shared/hashing';
import {
  assignedSlots,
  type MigrationState,
  openMigrations,
  type ShardConfigState,
  shardsOf,
} from '../aggregate/index.ts';
import type { ConfigIdentity } from '../naming/index.ts';

/** Most ranges that one shard's answer holds; scattered slots are counted, not listed. */
const MAX_RANGES = 200;

/** What a manager knows of one ShardConfig. */
export interface Inspected {
  readonly config: ConfigIdentity;
  /** Undefined before the log was read. */
  readonly state: ShardConfigState | undefined;
  /** Why nothing is decided, while nothing is. */
  readonly hold: { readonly reason: string; readonly message: string } | undefined;
  /** What a shard's serving worker last said of itself; undefined while it is not heard. */
  readonly worker: (shardId: string) => { readonly pod: string; readonly objects: number } | undefined;
}

const nameOf = ({ config }: Inspected) => ({ namespace: config.namespace, config: config.name });

/** Equal for equal states: lets anyone check that a manager's state is what the log folds to. */
export const stateDigest = (state: ShardConfigState): string =>
  createHash('sha256').update(JSON.stringify(state)).digest('hex');

export const migrationItem = ({ slots, ...migration }: MigrationState) => ({
  id: migration.id,
  cause: migration.cause,
  source: migration.source,
  target: migration.target,
  step: migration.step,
  committed: migration.committed,
  plannedAt: migration.plannedAt,
  deadline: migration.deadline,
  slots: slots.length,
});

export function statusItem(inspected: Inspected): InspectionItem<'status'> {
  const { config, state, hold } = inspected;
  const blocked = hold === undefined ? {} : { blocked: { reason: hold.reason, message: hold.message } };
  const head = { ...nameOf(inspected), uid: config.uid, ...blocked };
  if (state === undefined) return { ...head, known: false };
  const { generation, sequence, desiredShards, rollout, failover, lastDecision, revision, settings, owners } = state;
  const migrations = openMigrations(state);
  const shards: Record<string, number> = {};
  for (const { health } of shardsOf(state)) shards[health] = (shards[health] ?? 0) + 1;
  return {
    ...head,
    known: true,
    generation,
    sequence,
    ...(settings === null ? {} : { mode: settings.mode, strategy: settings.strategy }),
    desiredShards,
    shards,
    slots: owners.length,
    unownedSlots: owners.filter((owner) => owner === null).length,
    revision,
    openMigrations: migrations.length,
    migrations: migrations.slice(0, MAX_MIGRATIONS_NAMED).map(migrationItem),
    rollout,
    failover: { held: failover.held },
    lastDecision,
    stateDigest: stateDigest(state),
  };
}

export function shardItems(inspected: Inspected): readonly InspectionItem<'shards'>[] {
  const { state } = inspected;
  if (state?.settings == null) return [];
  const { slotCount } = state.settings;
  const assigned = assignedSlots(state);
  const migrations = openMigrations(state);
  const moving = (side: 'source' | 'target', shardId: string): number =>
    migrations.filter((each) => each[side] === shardId).reduce((sum, { slots }) => sum + slots.length, 0);
  return shardsOf(state).map(({ shardId, active, health, since, revision, draining, epoch, stale }) => {
    const owned = assigned.get(shardId)?.owned ?? [];
    const hashRanges = slotsToRanges(owned, slotCount);
    const objects = inspected.worker(shardId)?.objects;
    return {
      ...nameOf(inspected),
      shard: shardId,
      active,
      health,
      since,
      revision,
      draining,
      epoch,
      slots: owned.length,
      arriving: moving('target', shardId),
      leaving: moving('source', shardId),
      stale: stale?.slots.length ?? 0,
      ...(objects === undefined ? {} : { objects }),
      ...(hashRanges.length > MAX_RANGES ? {} : { hashRanges }),
    };
  });
}
