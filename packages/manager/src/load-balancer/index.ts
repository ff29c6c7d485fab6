export { balanceStateOf, type BalanceTable, balanceTable } from './balance-table.ts';
export { plannedMigrations, rebalancingBlock, type Transfer } from './placement.ts';
export { isStrategy, unknownStrategyText } from './strategies/index.ts';
