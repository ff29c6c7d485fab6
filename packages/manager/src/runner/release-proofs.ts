import type { Replica } from '@shard-controller/shared/contracts';
import { type ShardConfigState, type ShardId, type SlotIndex, slotsToRelease } from '../aggregate/index.ts';
import type { WorkerSources } from '../observation/index.ts';
import { proveRelease, type QuestionContext, type Side } from '../verification/index.ts';
import type { SourcesOf } from './observed-commands.ts';

/** A worker that was heard of later than this has other troubles, ms. */
const RECENT_MS = 10_000;

/** Slots that a worker has yet to release, and another worker has now. */
export interface Release {
  readonly migration: string;
  readonly source: Side;
  readonly target: Side;
  readonly slots: readonly SlotIndex[];
}

/** Helps every release on that waits for what its target shows. */
export class ReleaseProofs {
  readonly #context: Omit<QuestionContext, 'signal'>;
  readonly #running = new Map<string, AbortController>();

  constructor(context: Omit<QuestionContext, 'signal'>) {
    this.#context = context;
  }

  /** Starts and ends proofs so that they fit what the heartbeats say. `now` is monotonic, ms. */
  update(state: ShardConfigState, sourcesOf: SourcesOf, now: number): void {
    const wanted = new Map(waitingReleases(state, sourcesOf, now).map((release) => [keyOf(release), release]));
    for (const [key, controller] of this.#running) {
      if (wanted.has(key)) continue;
      controller.abort();
      this.#running.delete(key);
    }
    for (const [key, release] of wanted) {
      if (this.#running.has(key)) continue;
      const controller = new AbortController();
      this.#running.set(key, controller);
      const { namespace, name: config, uid, owners } = state;
      const task = { namespace, config, uid, slotCount: owners.length, deadline: Infinity, ...release };
      void proveRelease(task, { ...this.#context, signal: controller.signal });
    }
  }

  stop(): void {
    for (const controller of this.#running.values()) controller.abort();
    this.#running.clear();
  }
}

/** Releases of which a worker says that they are not over: it may wait for what the new owner shows. */
export function waitingReleases(state: ShardConfigState, sourcesOf: SourcesOf, now: number): readonly Release[] {
  return Object.keys(state.shards).flatMap((shardId) => {
    const { other, ...active } = sourcesOf(shardId);
    return [active, other].flatMap((sources) => ofWorker(state, shardId, sources, now));
  });
}

function ofWorker(state: ShardConfigState, shardId: ShardId, { worker }: WorkerSources, now: number): Release[] {
  if (worker === undefined || now - worker.heardAt >= RECENT_MS) return [];
  const { handovers, replica } = worker.heartbeat;
  return handovers.flatMap(({ migration, state: at }) => {
    if (at !== 'releasing') return [];
    const byOwner = Map.groupBy(slotsOfRelease(state, shardId, migration), (slot) => state.owners[slot] ?? null);
    return [...byOwner].flatMap(([owner, slots]) =>
      // Nobody shows what nobody has.
      owner === null || owner === shardId
        ? []
        : [
            {
              migration,
              slots,
              source: { shardId, replica },
              target: { shardId: owner, replica: activeOf(state, owner) },
            },
          ],
    );
  });
}

function slotsOfRelease(state: ShardConfigState, shardId: ShardId, id: string): readonly SlotIndex[] {
  const migration = state.migrations[id];
  if (migration?.committed === true && migration.source === shardId) return migration.slots;
  const shard = state.shards[shardId];
  return shard?.stale?.id === id ? slotsToRelease(shard) : [];
}

const activeOf = ({ shards }: ShardConfigState, shardId: ShardId): Replica => shards[shardId]?.active ?? 'a';

const keyOf = ({ migration, source, target, slots }: Release): string =>
  [migration, source.shardId, source.replica, target.shardId, target.replica, slots.join()].join(' ');
