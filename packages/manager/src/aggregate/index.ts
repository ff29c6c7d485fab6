export type {
  Command,
  CommandBody,
  CommandContext,
  CommandType,
  ObservedConfig,
  ShardInstanceClaim,
  ShardObservation,
} from './commands.ts';
export type { Decide, Decision } from './decide.ts';
export { type Desired, type DesiredStatefulSet, desired, type PodToDelete } from './desired.ts';
export { type EventOf, type ShardEvent, type ShardEventType, shardEventSchema } from './events.ts';
export { defaultSettings, type Settings, settingsSchema } from './settings.ts';
export {
  type FailoverState,
  type Health,
  initialState,
  type LastDecision,
  type LoadBand,
  type MigrationCause,
  type MigrationId,
  type MigrationState,
  type MigrationStep,
  ordinalOf,
  type RolloutState,
  type ScalingState,
  type ShardConfigState,
  type ShardId,
  type ShardState,
  type SlotIndex,
  shardIdOf,
} from './state.ts';
export type { ConditionType, DescribeStatus, DesiredCondition, DesiredStatus, Hold } from './status.ts';
