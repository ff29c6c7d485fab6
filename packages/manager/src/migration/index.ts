export { handoverCommands, signalOf } from './handover.ts';
export {
  type MigrationSignal,
  type MigrationTable,
  migrationTable,
  signalsFromState,
  tableStateOf,
} from './migration-table.ts';
