import type { Handover } from '@shard-controller/shared/contracts';
import {
  type CommandBody,
  type MigrationState,
  type ShardConfigState,
  type ShardId,
  slotsToRelease,
} from '../aggregate/index.ts';
import type { MigrationTrigger } from './migration-table.ts';

type HandoverObserved = Extract<CommandBody, { type: 'HandoverObserved' }>;

/**
 * Commands for the handovers of one heartbeat that are news to `state`. Heartbeats repeat themselves every second;
 * what has been decided already, or belongs to a closed migration, makes none.
 */
export function handoverCommands(
  state: ShardConfigState,
  shardId: ShardId,
  handovers: readonly Handover[],
): readonly HandoverObserved[] {
  return handovers
    .map((handover): HandoverObserved => ({ type: 'HandoverObserved', shardId, handover }))
    .filter((command) => isNews(state, command));
}

function isNews(state: ShardConfigState, { shardId, handover }: HandoverObserved): boolean {
  const migration = state.migrations[handover.migration];
  if (migration === undefined) {
    const shard = state.shards[shardId];
    const isNamed = shard?.stale?.id === handover.migration && slotsToRelease(shard).length > 0;
    return isNamed && handover.state === 'released';
  }
  if (migration[handover.role] !== shardId) return false;
  switch (handover.state) {
    case 'warming':
      return !migration.committed && migration.step !== 'Planning' && migration.step !== 'Transfer';
    case 'acknowledged':
      return migration.step === 'Preparation' || migration.step === 'Transfer';
    case 'failed':
      return !migration.committed && migration.step !== 'Planning';
    case 'releasing':
      return false;
    case 'released':
      return migration.committed;
  }
  return handover.state satisfies never;
}

/** What a handover means for `migration`, or undefined when it is none of this shard's business. */
export function triggerOf(
  migration: MigrationState,
  { shardId, handover }: HandoverObserved,
): MigrationTrigger | undefined {
  if (migration[handover.role] !== shardId) return undefined;
  const { state, objects, error, acknowledgedAt } = handover;
  switch (state) {
    case 'warming':
      return { type: 'WARMING', detail: `${shardId} is warming` };
    case 'acknowledged':
      return {
        type: 'ACKNOWLEDGED',
        detail: `${shardId} exposes ${objects} objects`,
        objects,
        ...(acknowledgedAt === undefined ? {} : { acknowledgedAt }),
      };
    case 'failed':
      return { type: 'TARGET_FAILED', detail: `target ${shardId} could not warm: ${error ?? 'no reason given'}` };
    case 'releasing':
      return undefined;
    case 'released':
      return { type: 'RELEASED', detail: `${shardId} has released` };
  }
  return state satisfies never;
}
