import {
  type CommandBody,
  isIdle,
  keepersFor,
  type ShardConfigState,
  type ShardObservation,
  type ShardState,
  slotsToRelease,
} from '../aggregate/index.ts';

/**
 * The command for what is seen of a shard, or undefined where `state` already says so. Level-triggered: call it for
 * every shard about once a second and on each change; a lost command is sent again by the next call.
 */
export function shardCommand(
  state: ShardConfigState,
  observation: ShardObservation,
): Extract<CommandBody, { type: 'ShardObserved' }> | undefined {
  const shard = state.shards[observation.shardId];
  if (shard === undefined) return undefined;
  const reports =
    observation.revision !== '' && (observation.revision !== shard.revision || observation.draining !== shard.draining);
  const isNews = reports || changesHealth(state, observation) || endsKeeping(state, observation);
  return isNews ? { type: 'ShardObserved', observation } : undefined;
}

/** Whether its worker has the newest assignment. */
const isCurrent = (state: ShardConfigState, { shardId, generation, epoch }: ShardObservation): boolean =>
  generation === state.generation && epoch >= (state.shards[shardId]?.epoch ?? 0);

/** Whether others keep exposing slots until this shard shows them, and it does. */
export function endsKeeping(state: ShardConfigState, observation: ShardObservation): boolean {
  const { shown, shardId } = observation;
  return shown === true && isCurrent(state, observation) && keepersFor(state, shardId).length > 0;
}

/** Whether a shard that was lost is as it should be again. What it keeps for others is no reason to do without it. */
export const isCaughtUp = (state: ShardConfigState, shard: ShardState, observation: ShardObservation): boolean =>
  slotsToRelease(shard).length === 0 && isCurrent(state, observation);

function changesHealth(state: ShardConfigState, observation: ShardObservation): boolean {
  const shard = state.shards[observation.shardId];
  if (shard === undefined) return false;
  const { health } = observation;
  switch (shard.health) {
    case 'Pending':
      return health === 'Healthy' || (health === 'Failed' && !isIdle(state, shard));
    case 'Healthy':
      return health !== 'Healthy';
    case 'Suspect':
      return health !== 'Suspect';
    case 'Failed':
      return health === 'Healthy' || health === 'Starting';
    case 'Recovering':
      if (health !== 'Healthy') return health !== 'Starting';
      return isCaughtUp(state, shard, observation);
  }
  return shard.health satisfies never;
}
