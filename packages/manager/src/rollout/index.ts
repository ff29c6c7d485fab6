export { isOverdue, outdatedShards, rolloutBlock, rolloutStateOf, type RolloutTable, rolloutTable } from './machine.ts';
