export { type ConfigSignal, configStateOf, type ConfigTable, configTable } from './machine.ts';
export { type Block, clamp, loadBlock, loadScalingBlock, meanLoad } from './scaling.ts';
