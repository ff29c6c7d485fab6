export {
  isOverdue,
  outdatedShards,
  rolloutHold,
  rolloutStateOf,
  type RolloutTable,
  rolloutTable,
} from './rollout-table.ts';
