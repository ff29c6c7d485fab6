import {
  awaitedShards,
  type DecisionTable,
  decisionTable,
  failedOwners,
  isIdle,
  isOutdated,
  isTarget,
  openMigrations,
  pausedPairs,
  regularShards,
  type ShardConfigState,
  type ShardEvent,
  type ShardState,
  shardIdOf,
  shardsOf,
  slotsOf,
  type TableConfig,
  targetsOf,
  type View,
} from '../aggregate/model.ts';
import { plannedMigrations, type Transfer } from '../load-balancer/index.ts';

/** "Look whether the rolling update can go on." */
interface RolloutSignal {
  readonly type: 'EVALUATE';
}

export type RolloutTable = DecisionTable<View, RolloutSignal, ShardEvent>;

/**
 * One surge worker starts with the new template. Then, until no outdated worker is left: all slots of an outdated
 * worker move to the empty new one, its pod is replaced, and it is the empty new one for the next. At the end the
 * surge worker's slots move to the last one. So every slot moves once, those of the shard with the fewest twice, and a
 * pod that is deleted owns nothing.
 */
const config: TableConfig = {
  id: 'rollout',
  initial: 'Idle',
  states: {
    Idle: {
      on: { EVALUATE: [{ guard: 'isDue', target: 'Rolling', actions: 'begin' }] },
    },
    Rolling: {
      on: {
        EVALUATE: [
          { guard: 'canReplace', actions: 'replace' },
          { guard: 'canMove', actions: 'move' },
          { guard: 'isDone', target: 'Idle', actions: 'end' },
        ],
      },
    },
  },
};

export const rolloutTable: RolloutTable = decisionTable<View, RolloutSignal, ShardEvent>(config, {
  guards: {
    isDue: (view) => outdatedShards(view.state).length > 0 && rolloutBlock(view) === undefined,
    canReplace: (view) => rolloutBlock(view) === undefined && nextToReplace(view.state) !== undefined,
    canMove: (view) => rolloutBlock(view) === undefined && nextMove(view.state) !== undefined,
    isDone: ({ state }) => openMigrations(state).length === 0 && isDone(state),
  },
  decisions: {
    begin: ({ state, now }) => [
      {
        type: 'shard.rollout.started.v1',
        at: now,
        revision: state.revision,
        surge: shardIdOf(state.desiredShards),
        reason: `${outdatedShards(state).length} workers do not have revision ${state.revision}`,
      },
    ],
    replace: ({ state, now }) => {
      const shardId = nextToReplace(state)?.shardId;
      return shardId === undefined
        ? []
        : [{ type: 'shard.rollout.replacing.v1', at: now, shardId, reason: `${shardId} exposes nothing` }];
    },
    move: (view) => {
      const transfer = nextMove(view.state);
      return transfer === undefined
        ? []
        : plannedMigrations(view, [transfer], ({ from, to }) => ({
            cause: 'rollout',
            reason: `${from ?? 'the source'} is emptied to be replaced; ${to} has the new revision`,
          }));
    },
    end: ({ state, now }) => [
      {
        type: 'shard.rollout.completed.v1',
        at: now,
        revision: state.revision,
        durationMs: Math.max(0, now - (state.rollout?.startedAt ?? now)),
        reason: `all ${state.desiredShards} workers have revision ${state.revision}`,
      },
    ],
  },
});

/** State of the table that the aggregate is in. */
export const rolloutStateOf = (state: ShardConfigState): string => (state.rollout === null ? 'Idle' : 'Rolling');

/** Wanted workers of another revision than the wanted one. */
export const outdatedShards = (state: ShardConfigState): readonly ShardState[] =>
  regularShards(state).filter((shard) => isOutdated(state, shard) && !isAway(state, shard));

/**
 * Lost, with nothing left to move: nobody waits for it, because its node may never come back, and what else the rolling
 * update holds up (the number of shards) must not wait as long. If its old worker is heard again, that is a new update.
 */
const isAway = (state: ShardConfigState, shard: ShardState): boolean =>
  shard.health === 'Failed' && isIdle(state, { ...shard, stale: null });

/** Why a rolling update does not begin or go on now, or undefined. */
export function rolloutBlock(view: View): string | undefined {
  const { state, settings } = view;
  if (settings.mode === 'Paused') return 'mode is Paused';
  if (openMigrations(state).length > 0) return 'migrations are open';
  if (failedOwners(state).length > 0) return 'a failover is not finished';
  const move = nextMove(state);
  const isPaused = pausedPairs(view).some(({ source, target }) => source === move?.from && target === move.to);
  if (isPaused) return `a migration from ${move?.from} to ${move?.to} was rolled back a moment ago`;
  return state.rollout === null ? beginBlock(view) : undefined;
}

function beginBlock(view: View): string | undefined {
  const { state, settings } = view;
  if (settings.replicasPerShard === 2) return 'standbys are renewed first and take over, one by one';
  if (state.owners.includes(null)) return 'not every slot has an owner yet';
  const awaited = awaitedShards(view).map(({ shardId }) => shardId);
  if (awaited.length > 0) return `waiting for ${awaited.join(', ')}`;
  const leaving = shardsOf(state).find((shard) => shard.ordinal >= state.desiredShards);
  return leaving === undefined ? undefined : `${leaving.shardId} is still leaving`;
}

/** The outdated worker to delete: it exposes nothing, and no other one is being replaced. */
function nextToReplace(state: ShardConfigState): ShardState | undefined {
  const { rollout } = state;
  if (rollout === null) return undefined;
  const current = rollout.replacing === null ? undefined : state.shards[rollout.replacing];
  // Once it owns slots again its replacement is over, even if the template has changed once more since.
  const isOver = current === undefined || isAway(state, current) || isRenewed(state, current);
  if (!isOver && isIdle(state, current)) return undefined;
  return participants(state).find((shard) => isOutdated(state, shard) && isIdle(state, shard) && !isAway(state, shard));
}

/** All slots of the next outdated worker, or at last of the surge worker, to an empty new one. */
function nextMove(state: ShardConfigState): Transfer | undefined {
  const { rollout } = state;
  if (rollout === null) return undefined;
  const renewed = targetsOf(state).filter((shard) => shard.revision === state.revision);
  const empty = renewed.filter((shard) => isIdle(state, shard));
  const owning = regularShards(state).filter((shard) => state.owners.includes(shard.shardId));
  const outdated = owning.filter((shard) => isOutdated(state, shard));
  const source = outdated.length > 0 ? smallest(state, outdated) : state.shards[rollout.surge];
  // The slots of a lost shard may have filled the empty one; then there will be no other.
  const fallback = regularShards(state).some((shard) => isAway(state, shard))
    ? smallest(
        state,
        renewed.filter((shard) => shard !== source),
      )
    : undefined;
  const target = empty.find((shard) => shard.shardId !== rollout.surge) ?? empty[0] ?? fallback;
  if (source === undefined || target === undefined || target.shardId === source.shardId) return undefined;
  const slots = slotsOf(state, source.shardId);
  return source.health === 'Healthy' && slots.length > 0
    ? { from: source.shardId, to: target.shardId, slots }
    : undefined;
}

/** The healthy shard with the fewest slots: those of the one that is emptied first, into the surge worker, move twice. */
function smallest(state: ShardConfigState, shards: readonly ShardState[]): ShardState | undefined {
  const slots = new Map(shards.map(({ shardId }) => [shardId, slotsOf(state, shardId).length]));
  const count = ({ shardId }: ShardState): number => slots.get(shardId) ?? 0;
  // Stable: of equals the lowest ordinal.
  return shards.filter(({ health }) => health === 'Healthy').toSorted((a, b) => count(a) - count(b))[0];
}

function isDone(state: ShardConfigState): boolean {
  const surge = state.rollout === null ? undefined : state.shards[state.rollout.surge];
  const renewed = regularShards(state).every((shard) => shard.revision === state.revision || isAway(state, shard));
  return renewed && (surge === undefined || isIdle(state, surge));
}

const isRenewed = (state: ShardConfigState, shard: ShardState): boolean =>
  shard.revision === state.revision && isTarget(state, shard);

/** Regular shards and the surge worker. */
const participants = (state: ShardConfigState): readonly ShardState[] =>
  shardsOf(state).filter((shard) => shard.ordinal < state.desiredShards || shard.shardId === state.rollout?.surge);
