export { handoverCommands, triggerOf } from './handover.ts';
export {
  type MigrationTrigger,
  type MigrationTable,
  migrationTable,
  triggersFromState,
  tableStateOf,
} from './migration-table.ts';
