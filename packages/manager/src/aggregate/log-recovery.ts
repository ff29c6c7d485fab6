import type { Replica } from '@shard-controller/shared/contracts';
import type { ShardInstanceClaim } from './commands.ts';
import type { EventOf } from './events.ts';
import { initialState, pendingShard, type ShardConfigState, type ShardId, shardIdOf, type SlotIndex } from './state.ts';

/** What one shard keeps after the log was lost. */
export interface RecoveredShard {
  readonly shardId: ShardId;
  readonly owned: readonly SlotIndex[];
  readonly stale: readonly SlotIndex[];
  readonly active: Replica;
}

/**
 * Owners as the ShardInstances tell them. Where two claim a slot (the manager died between two writes) the newer
 * assignment is right, and the other shard may still expose the slot; so may one that was releasing or keeping it. It
 * gets back a slot that no shard claims: the new owner never received it, and the releasing shard would let go at once.
 */
export function recoverShards(instances: readonly ShardInstanceClaim[]): RecoveredShard[] {
  const newestFirst = [...instances].sort(
    (a, b) => b.generation - a.generation || b.epoch - a.epoch || (a.shardId < b.shardId ? -1 : 1),
  );
  const claimed = new Set(instances.flatMap(({ owned }) => owned));
  const taken = new Set<SlotIndex>();
  const shards = newestFirst.map((claim) => {
    const lost = [...claim.releasing, ...claim.keeping];
    const unclaimed = lost.filter((slot) => !claimed.has(slot));
    const owned = [...claim.owned, ...unclaimed].filter((slot) => !taken.has(slot));
    for (const slot of owned) taken.add(slot);
    const mine = new Set(owned);
    const stale = new Set([...claim.owned, ...lost].filter((slot) => !mine.has(slot)));
    return { shardId: claim.shardId, owned: sorted(owned), stale: sorted(stale), active: claim.active };
  });
  return shards.sort((a, b) => (a.shardId < b.shardId ? -1 : 1));
}

/** The state that a recovery event gives: nothing of before, except what the ShardInstances said. */
export function recoveredState(event: EventOf<'shard.log.recovered.v1'>): ShardConfigState {
  const owners = Array.from<unknown, ShardId | null>({ length: event.settings.slotCount }, () => null);
  for (const { shardId, owned } of event.shards) for (const slot of owned) owners[slot] = shardId;
  const shards = event.shards.map(({ shardId, owned, stale, release, releaseWhen, active }) => ({
    ...pendingShard(shardId, event.at),
    active: active ?? 'a',
    hasServed: owned.length > 0,
    stale: stale.length === 0 ? null : { id: release, slots: stale, kept: releaseWhen === 'shown' ? stale : [] },
  }));
  const missing = Array.from({ length: event.desiredShards }, (_, ordinal) =>
    pendingShard(shardIdOf(ordinal), event.at),
  );
  return {
    ...initialState,
    uid: event.uid,
    namespace: event.namespace,
    name: event.name,
    generation: event.generation,
    settings: event.settings,
    specGeneration: event.specGeneration,
    revision: event.revision,
    template: '',
    createdAt: event.at,
    desiredShards: event.desiredShards,
    shards: Object.fromEntries([...missing, ...shards].map((shard) => [shard.shardId, shard])),
    owners,
    nextMigration: event.shards.length + 1,
    scaling: { band: 'within', bandSince: event.at, lastScaleAt: event.at },
    recovered: { at: event.at, reason: event.reason },
  };
}

const sorted = (slots: Iterable<SlotIndex>): SlotIndex[] => [...slots].sort((a, b) => a - b);
