import type { CommandBody, ShardConfigState, ShardObservation } from '../aggregate/model.ts';
import { isIdle } from '../aggregate/model.ts';

/**
 * The command for what is seen of a shard, or undefined where `state` already says so. Level-triggered: call it for
 * every shard about once a second and on each change; a lost command is made again by the next call.
 */
export function shardCommand(
  state: ShardConfigState,
  observation: ShardObservation,
): Extract<CommandBody, { type: 'ShardObserved' }> | undefined {
  const shard = state.shards[observation.shardId];
  if (shard === undefined) return undefined;
  const reports =
    observation.revision !== '' && (observation.revision !== shard.revision || observation.draining !== shard.draining);
  return reports || changesHealth(state, observation) ? { type: 'ShardObserved', observation } : undefined;
}

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
      return shard.stale === null && observation.generation === state.generation && observation.epoch >= shard.epoch;
  }
  return shard.health satisfies never;
}
