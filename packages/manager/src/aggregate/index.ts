export { type AssignedSlots, assignedSlots } from './assignment.ts';
export type {
  Command,
  CommandBody,
  CommandContext,
  LoadProgress,
  CommandType,
  ObservedConfig,
  ShardInstanceClaim,
  ShardObservation,
  StandbyObservation,
} from './commands.ts';
export {
  createDecide,
  type Decide,
  type Decision,
  type DecisionTables,
  decide,
  EndlessDecisionError,
  standardTables,
} from './decide.ts';
export { type Desired, type DesiredStatefulSet, desired, type PodToDelete } from './desired.ts';
export { type EventOf, type ShardEvent, type ShardEventType, shardEventSchema } from './events.ts';
export { evolve } from './evolve.ts';
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
  SURGE,
} from './state.ts';
export {
  type ConditionType,
  type DesiredCondition,
  type DesiredStatus,
  describeStatus,
  type Hold,
  holdsOf,
} from './status.ts';
export { isIdle, isWanted, openMigrations, shardsOf, slotsOf } from './view.ts';
