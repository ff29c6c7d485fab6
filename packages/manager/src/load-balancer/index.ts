export { balanceStateOf, type BalanceTable, balanceTable } from './balance-table.ts';
export { type DryRun, dryRun } from './dry-run.ts';
export { plannedMigrations, rebalancingHold, type Transfer } from './placement.ts';
export { isStrategy, unknownStrategyText } from './strategies/index.ts';
