export {
  isOverdue,
  outdatedShards,
  rolloutBlock,
  rolloutStateOf,
  type RolloutTable,
  rolloutTable,
} from './rollout-table.ts';
