export { type ConfigSignal, type ConfigTable, configStateOf, configTable } from './machine.ts';
export { outdatedShards, type RolloutTable, rolloutBlock, rolloutStateOf, rolloutTable } from './rollout-machine.ts';
export { loadScalingBlock, meanLoad } from './scaling.ts';
