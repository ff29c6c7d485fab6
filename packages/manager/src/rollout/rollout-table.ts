import {
  awaitedShards,
  type DecisionTable,
  decisionTable,
  failedOwners,
  isIdle,
  isOutdated,
  isRolling,
  isServing,
  isSurge,
  isTarget,
  openMigrations,
  pausedPairs,
  regularShards,
  type ShardConfigState,
  type ShardEvent,
  shardsOf,
  type ShardState,
  slotsOf,
  SURGE,
  type TableConfig,
  targetsOf,
  type View,
} from '../aggregate/index.ts';
import { plannedMigrations, type Transfer } from '../load-balancer/index.ts';

/** "Check whether the rolling update can continue." */
interface RolloutTrigger {
  readonly type: 'EVALUATE';
}

export type RolloutTable = DecisionTable<View, RolloutTrigger, ShardEvent>;

/**
 * A surge worker starts with the new template, which the others' StatefulSets get only when it is ready: until then the
 * rolling update blocks nothing. Then, until no outdated worker is left: all slots of an outdated worker move to the
 * empty new one, its pod is replaced, and it is the empty new one for the next. At the end the surge worker's slots move
 * to the last one. So every slot moves once, those of the shard with the fewest twice, and a pod that is deleted owns
 * nothing. What is more important than a rolling update ends it, and it begins again afterwards.
 */
const config: TableConfig = {
  id: 'rollout',
  initial: 'Idle',
  states: {
    Idle: {
      on: {
        EVALUATE: [
          { guard: 'isProved', actions: 'prove' },
          { guard: 'isDue', target: 'Rolling', actions: 'begin' },
        ],
      },
    },
    Rolling: {
      on: {
        EVALUATE: [
          { guard: 'isSuperseded', target: 'Idle', actions: 'supersede' },
          { guard: 'isProved', actions: 'prove' },
          { guard: 'isForStandbys', target: 'Idle', actions: 'leaveToStandbys' },
          { guard: 'isResized', target: 'Idle', actions: 'giveWay' },
          { guard: 'isDone', target: 'Idle', actions: 'end' },
          { guard: 'canReplace', actions: 'replace' },
          { guard: 'canMove', actions: 'move' },
          { guard: 'isStalled', target: 'Idle', actions: 'giveUp' },
        ],
      },
    },
  },
};

export const rolloutTable: RolloutTable = decisionTable<View, RolloutTrigger, ShardEvent>(config, {
  guards: {
    isDue: (view) => outdatedShards(view.state).length > 0 && rolloutHold(view) === undefined,
    isProved: (view) => proofOf(view) !== undefined,
    isSuperseded: ({ state }) => supersededBy(state) !== undefined,
    isForStandbys: ({ state, settings }) => isRolling(state) && settings.replicasPerShard === 2,
    isResized: ({ state }) => isRolling(state) && state.rollout?.shards !== state.desiredShards,
    isStalled: (view) => isRolling(view.state) && isOverdue(view) && openMigrations(view.state).length === 0,
    canReplace: (view) => rolloutHold(view) === undefined && nextToReplace(view.state) !== undefined,
    canMove: (view) => rolloutHold(view) === undefined && nextMove(view.state) !== undefined,
    isDone: ({ state }) => isRolling(state) && openMigrations(state).length === 0 && isDone(state),
  },
  decisions: {
    begin: ({ state, now }) => [
      {
        type: 'shard.rollout.started.v1',
        at: now,
        revision: state.revision,
        surge: SURGE,
        reason: `${outdatedShards(state).length} workers do not have revision ${state.revision}`,
      },
    ],
    prove: (view) => {
      const proof = proofOf(view);
      const { state, now } = view;
      return proof === undefined
        ? []
        : [{ type: 'shard.rollout.proved.v1', at: now, revision: state.revision, ...proof }];
    },
    supersede: (view) => ended(view, 'superseded', supersededBy(view.state) ?? ''),
    leaveToStandbys: (view) => ended(view, 'standbys', 'standbys are replaced first and take over, one by one'),
    giveWay: (view) => ended(view, 'resized', `the change to ${view.state.desiredShards} shards comes first`),
    giveUp: (view) => ended(view, 'stalled', stalledReason(view), missingShards(view.state)),
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

/** Whether a rolling update has not got on for longer than it should take. */
export const isOverdue = ({ state, settings, now }: View): boolean =>
  state.rollout !== null && now - state.rollout.progressAt >= settings.rollout.deadlineMs;

/**
 * Lost, with nothing left to move: nothing waits for it, because its node may never come back, and what else the rolling
 * update holds up (the number of shards) must not wait as long. If its old worker is heard again, that is a new update.
 */
const isAway = (state: ShardConfigState, shard: ShardState): boolean =>
  shard.health === 'Failed' && isIdle(state, { ...shard, stale: null });

type Ended = Extract<ShardEvent, { type: 'shard.rollout.ended.v1' }>;

function ended(
  { state, now }: View,
  outcome: Ended['outcome'],
  reason: string,
  shards: readonly string[] = [],
): readonly ShardEvent[] {
  const revision = state.rollout?.revision ?? '';
  const missing = shards.length === 0 ? {} : { shards: shards.slice(0, MOST_NAMED) };
  return [{ type: 'shard.rollout.ended.v1', at: now, revision, outcome, ...missing, reason }];
}

const MOST_NAMED = 20;

/**
 * Why the StatefulSets may have the wanted revision, or undefined: a worker that runs it is ready. Where no worker serves
 * there is nothing to protect, and a template that is mended must not wait for a worker that has no room.
 */
function proofOf(
  view: View,
): Pick<Extract<ShardEvent, { type: 'shard.rollout.proved.v1' }>, 'shardId' | 'reason'> | undefined {
  const { state, settings } = view;
  if (state.template === state.revision || settings.mode === 'Paused') return undefined;
  const proving = shardsOf(state).find(({ health, revision }) => health === 'Healthy' && revision === state.revision);
  if (proving !== undefined) {
    const { shardId } = proving;
    return { shardId, reason: `${shardId} is ready with revision ${state.revision}` };
  }
  return nobodyServes(view) ? { reason: 'no ready worker is at risk' } : undefined;
}

/** For long enough to be sure of it, unless no shard has ever owned a slot. */
function nobodyServes({ state, settings, now }: View): boolean {
  const regular = regularShards(state);
  if (regular.some(isServing)) return false;
  if (state.owners.every((owner) => owner === null)) return true;
  return regular.every(({ since }) => now - since >= settings.failover.startGraceMs);
}

/** Why the rolling update has lost its purpose, or undefined. */
function supersededBy(state: ShardConfigState): string | undefined {
  const { rollout } = state;
  if (rollout === null) return undefined;
  if (rollout.revision !== state.revision) return `revision ${state.revision} takes its place`;
  if (rollout.surge !== SURGE) return 'an earlier manager began it with another kind of surge worker';
  const isProving = !isRolling(state) && outdatedShards(state).length === 0;
  return isProving ? 'every worker already has this revision' : undefined;
}

/** Why a rolling update does not begin or continue now; undefined if it does. */
export function rolloutHold(view: View): string | undefined {
  const { state, settings } = view;
  if (settings.mode === 'Paused') return 'mode is Paused';
  const { rollout } = state;
  if (rollout !== null && !isRolling(state)) {
    const health = state.shards[rollout.surge]?.health ?? 'gone';
    return `${rollout.surge} (${health}) has to be ready with revision ${rollout.revision} first`;
  }
  if (openMigrations(state).length > 0) return 'migrations are open';
  if (failedOwners(state).length > 0) return 'a failover is not finished';
  const move = nextMove(state);
  const isPaused = pausedPairs(view).some(({ source, target }) => source === move?.from && target === move.to);
  if (isPaused) return `a migration from ${move?.from} to ${move?.to} was rolled back a moment ago`;
  return rollout === null ? beginHold(view) : undefined;
}

function beginHold(view: View): string | undefined {
  const { state, settings, now } = view;
  if (settings.replicasPerShard === 2 && state.template === state.revision) {
    return 'standbys are replaced first and take over, one by one';
  }
  if (state.owners.includes(null)) return 'not every slot has an owner yet';
  const awaited = awaitedShards(view).map(({ shardId }) => shardId);
  if (awaited.length > 0) return `waiting for ${awaited.join(', ')}`;
  // An empty one on a lost node, which cannot be removed, blocks nothing.
  const leaving = shardsOf(state).find(
    (shard) => shard.ordinal >= state.desiredShards && (isSurge(shard) || !isIdle(state, shard)),
  );
  if (leaving !== undefined) return `${leaving.shardId} is still leaving`;
  return stalledHold(state, now, settings.rollout.deadlineMs);
}

/** After one that stalled: until what it missed is back, or, if it missed nothing, for a while. */
function stalledHold({ stalledRollout: stalled, revision, shards }: ShardConfigState, now: number, waitMs: number) {
  if (stalled === null || stalled.revision !== revision) return undefined;
  const missing = stalled.shards.filter((shardId) => {
    const shard = shards[shardId];
    return shard !== undefined && shard.health !== 'Healthy';
  });
  if (missing.length > 0) return `the last one stalled: ${stalled.reason}; waiting for ${missing.join(', ')}`;
  return stalled.shards.length === 0 && now < stalled.at + waitMs
    ? `the last one stalled: ${stalled.reason}`
    : undefined;
}

const missingShards = (state: ShardConfigState): readonly string[] =>
  shardsOf(state)
    .filter((shard) => (shard.ordinal < state.desiredShards || isSurge(shard)) && !isServing(shard))
    .map(({ shardId }) => shardId);

function stalledReason({ state, settings }: View): string {
  const missing = missingShards(state);
  const what = missing.length === 0 ? 'its migrations fail' : `${missing.slice(0, MOST_NAMED).join(', ')} not ready`;
  return `revision ${state.rollout?.revision ?? ''} made no progress for ${settings.rollout.deadlineMs / 1000} s: ${what}`;
}

/** The outdated worker to delete: it exposes nothing, and no other one is being replaced. */
function nextToReplace(state: ShardConfigState): ShardState | undefined {
  const { rollout } = state;
  if (rollout === null) return undefined;
  const current = rollout.replacing === null ? undefined : state.shards[rollout.replacing];
  // Once it owns slots again its replacement is over.
  const isOver = current === undefined || isAway(state, current) || isRenewed(state, current);
  if (!isOver && isIdle(state, current)) return undefined;
  return regularShards(state).find(
    (shard) => isOutdated(state, shard) && isIdle(state, shard) && !isAway(state, shard),
  );
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

/** No worker is outdated, and those not back yet have never served or are lost: they get the new template anyway. */
function isDone(state: ShardConfigState): boolean {
  const surge = state.rollout === null ? undefined : state.shards[state.rollout.surge];
  const replaced = state.rollout?.replacing;
  const renewed = regularShards(state).every(
    (shard) =>
      shard.revision === state.revision ||
      isAway(state, shard) ||
      (shard.revision === '' && shard.shardId !== replaced && isIdle(state, shard)),
  );
  return renewed && (surge === undefined || isIdle(state, surge));
}

const isRenewed = (state: ShardConfigState, shard: ShardState): boolean =>
  shard.revision === state.revision && isTarget(state, shard);
