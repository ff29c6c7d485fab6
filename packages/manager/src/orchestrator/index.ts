export { type ConfigSignal, type ConfigTable, configStateOf, configTable } from './machine.ts';
export {
  isOverdue,
  outdatedShards,
  type RolloutTable,
  rolloutBlock,
  rolloutStateOf,
  rolloutTable,
} from './rollout-machine.ts';
export { type Block, clamp, loadBlock, loadScalingBlock, meanLoad } from './scaling.ts';
