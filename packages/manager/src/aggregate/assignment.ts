import type { Assignment, Replica } from '@shard-controller/shared/contracts';
import { slotsToRanges } from '@shard-controller/shared/hashing';
import type { MigrationId, ShardConfigState, ShardId, ShardState, SlotIndex } from './state.ts';
import { slotsToRelease } from './view.ts';

interface MigratingSlots {
  readonly migration: MigrationId;
  readonly slots: readonly SlotIndex[];
}

/** What one shard has to do, in slots. */
export interface AssignedSlots {
  readonly owned: readonly SlotIndex[];
  readonly warm: readonly MigratingSlots[];
  readonly release: readonly MigratingSlots[];
  /** Lost slots that it keeps exposing, until their new owner shows them. */
  readonly keep: readonly SlotIndex[];
}

/** The slots of every shard's assignment, by shard. */
export function assignedSlots(state: ShardConfigState): ReadonlyMap<ShardId, AssignedSlots> {
  const all = new Map(
    Object.values(state.shards).map((shard) => [
      shard.shardId,
      {
        owned: new Array<SlotIndex>(),
        warm: new Array<MigratingSlots>(),
        release: lostRelease(shard),
        keep: shard.stale?.kept ?? [],
      },
    ]),
  );
  state.owners.forEach((owner, slot) => {
    if (owner !== null) all.get(owner)?.owned.push(slot);
  });
  for (const { id, step, committed, sourceLost, source, target, slots } of Object.values(state.migrations)) {
    if (committed) {
      if (!sourceLost) all.get(source)?.release.push({ migration: id, slots });
    } else if (step !== 'Planning') all.get(target)?.warm.push({ migration: id, slots });
  }
  return all;
}

function lostRelease(shard: ShardState): MigratingSlots[] {
  const slots = slotsToRelease(shard);
  return shard.stale === null || slots.length === 0 ? [] : [{ migration: shard.stale.id, slots }];
}

/** What the assignment says about the replica that serves: nothing where a is the only one. */
function activeReplica({ settings, shards }: ShardConfigState, shardId: ShardId): Replica | undefined {
  const active = shards[shardId]?.active ?? 'a';
  return settings?.replicasPerShard === 2 || active === 'b' ? active : undefined;
}

/**
 * `next` with the epoch of every shard whose assignment differs from the one in `previous` set to `sequence`: only a
 * changed assignment gets a new epoch, so that workers receive only what is new to them.
 */
export function withEpochs(previous: ShardConfigState, next: ShardConfigState, sequence: number): ShardConfigState {
  const unchanged =
    previous.owners === next.owners &&
    previous.migrations === next.migrations &&
    previous.shards === next.shards &&
    previous.generation === next.generation &&
    previous.settings === next.settings;
  if (unchanged) return next;
  const before = assignedSlots(previous);
  const shards = { ...next.shards };
  for (const [shardId, slots] of assignedSlots(next)) {
    const shard = shards[shardId];
    const same =
      previous.generation === next.generation &&
      activeReplica(previous, shardId) === activeReplica(next, shardId) &&
      isSame(before.get(shardId), slots);
    if (shard !== undefined && !same) shards[shardId] = { ...shard, epoch: sequence };
  }
  return { ...next, shards };
}

function isSame(a: AssignedSlots | undefined, b: AssignedSlots): boolean {
  if (a === undefined) return false;
  return (
    sameSlots(a.owned, b.owned) &&
    sameMigrating(a.warm, b.warm) &&
    sameMigrating(a.release, b.release) &&
    sameSlots(a.keep, b.keep)
  );
}

const sameSlots = (a: readonly SlotIndex[], b: readonly SlotIndex[]): boolean =>
  a.length === b.length && a.every((slot, i) => slot === b[i]);

const sameMigrating = (a: readonly MigratingSlots[], b: readonly MigratingSlots[]): boolean =>
  a.length === b.length &&
  a.every(({ migration, slots }, i) => migration === b[i]?.migration && sameSlots(slots, b[i].slots));

/** An assignment was asked of a state without an accepted spec. @remedy this is a defect: report it with the log of the process. */
class NoSettingsError extends Error {
  override readonly name = 'NoSettingsError';
  readonly code = 'SC_NO_SETTINGS';

  constructor({ namespace, name, uid }: ShardConfigState) {
    super(`ShardConfig ${namespace}/${name} (uid ${uid}) has no accepted spec, so no assignment`);
  }
}

/** The message for one shard: content of ShardInstance.spec and of its assignment subject. */
export function toAssignment(state: ShardConfigState, shardId: ShardId, slots: AssignedSlots): Assignment {
  const settings = state.settings;
  if (settings === null) throw new NoSettingsError(state);
  const active = activeReplica(state, shardId);
  const migrating = (list: readonly MigratingSlots[]): Assignment['warmRanges'] =>
    list.flatMap(({ migration, slots: of }) =>
      slotsToRanges(of, settings.slotCount).map((range) => ({ ...range, migration })),
    );
  return {
    v: 'shard.assignment.v1',
    shardConfig: { namespace: state.namespace, name: state.name, uid: state.uid },
    shardId,
    generation: state.generation,
    epoch: state.shards[shardId]?.epoch ?? 0,
    ...(active === undefined ? {} : { activeReplica: active }),
    slotCount: settings.slotCount,
    shardBy: settings.shardBy,
    hashRanges: slotsToRanges(slots.owned, settings.slotCount),
    warmRanges: migrating(slots.warm),
    releaseRanges: migrating(slots.release),
    ...(slots.keep.length === 0 ? {} : { keepRanges: slotsToRanges(slots.keep, settings.slotCount) }),
  };
}
