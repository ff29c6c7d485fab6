import {
  isOutdated,
  openMigrations,
  type ShardConfigState,
  type ShardState,
  type StandbyObservation,
} from '../aggregate/index.ts';

type Reason = (state: ShardConfigState, observation: StandbyObservation) => boolean;

/** Why a standby takes over; guards of the table, and what the shell asks before it sends a command. */
export const takeoverReasons = {
  isLost: (state, { active, ...standby }) => active.lost && replaceable(state, standby) !== undefined,
  terminates: (state, { active, ...standby }) => active.terminating && replaceable(state, standby) !== undefined,
  isOutdated: (state, standby) => {
    const shard = replaceable(state, standby);
    if (shard === undefined || state.settings?.mode === 'Paused' || state.rollout !== null) return false;
    return isOutdated(state, shard) && standby.revision === state.revision && !isMoving(state, shard);
  },
  isSurplus: (state, standby) => {
    const shard = replaceable(state, standby);
    return shard !== undefined && state.settings?.replicasPerShard === 1 && !isMoving(state, shard);
  },
} as const satisfies Readonly<Record<string, Reason>>;

export const isTakeoverDue: Reason = (state, observation) =>
  Object.values(takeoverReasons).some((reason) => reason(state, observation));

/** The shard, if this standby may serve it at all: one that should not exist may only hand it back to a. */
function replaceable(
  state: ShardConfigState,
  { shardId, replica }: Pick<StandbyObservation, 'shardId' | 'replica'>,
): ShardState | undefined {
  const shard = state.shards[shardId];
  const may = state.settings?.replicasPerShard === 2 || replica === 'a';
  return may && shard?.active !== replica ? shard : undefined;
}

const isMoving = (state: ShardConfigState, { shardId }: ShardState): boolean =>
  openMigrations(state).some(({ source, target }) => source === shardId || target === shardId);
