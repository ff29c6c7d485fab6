export { type AssignedSlots, assignedSlots, toAssignment } from './assignment.ts';
export type {
  Command,
  CommandBody,
  CommandContext,
  LoadProgress,
  ObservedConfig,
  ShardInstanceClaim,
  ShardObservation,
  StandbyObservation,
} from './commands.ts';
export { type DecisionTable, decisionTable, type Row, type TableConfig, type TableResult } from './decision-table.ts';
export { type ShardEvent, shardEventSchema } from './events.ts';
export { evolve } from './evolve.ts';
export { recoverShards } from './log-recovery.ts';
export { defaultSettings, type Settings } from './settings.ts';
export {
  type Health,
  initialState,
  type LastDecision,
  type LoadBand,
  type MigrationCause,
  type MigrationId,
  type MigrationState,
  ordinalOf,
  pairOf,
  type ShardConfigState,
  type ShardId,
  shardIdOf,
  type ShardState,
  type SlotIndex,
  SURGE,
  SURGE_ORDINAL,
} from './state.ts';
export {
  awaitedShards,
  failedOwners,
  failuresOf,
  isIdle,
  isLoaded,
  isOutdated,
  isRolling,
  isServing,
  isSurge,
  isTarget,
  isWanted,
  keepersFor,
  migratingSlots,
  openMigrations,
  pausedPairs,
  projectedOwners,
  failoverTargets,
  regularShards,
  replicasOf,
  shardsOf,
  slotsOf,
  slotsToRelease,
  targetsOf,
  type View,
} from './view.ts';
