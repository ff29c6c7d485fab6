/**
 * What the decision tables know of the aggregate. They import this door and `decide` imports them, so it must not
 * reach back to `decide.ts`; everybody else imports `index.ts`.
 */
export type {
  CommandBody,
  ObservedConfig,
  ShardInstanceClaim,
  ShardObservation,
  StandbyObservation,
} from './commands.ts';
export { type DecisionTable, decisionTable, type TableConfig } from './decision-table.ts';
export type { ShardEvent } from './events.ts';
export { recoverShards } from './log-recovery.ts';
export type { Settings } from './settings.ts';
export {
  type Health,
  type LoadBand,
  type MigrationCause,
  type MigrationId,
  type MigrationState,
  ordinalOf,
  pairOf,
  type ShardConfigState,
  type ShardId,
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
  isOutdated,
  isRolling,
  isServing,
  isSurge,
  isTarget,
  isLoaded,
  isWanted,
  keepersFor,
  migratingSlots,
  openMigrations,
  pausedPairs,
  projectedOwners,
  refugesOf,
  regularShards,
  shardsOf,
  slotsOf,
  slotsToRelease,
  targetsOf,
  type View,
} from './view.ts';
