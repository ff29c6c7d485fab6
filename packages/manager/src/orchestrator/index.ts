export { type ConfigTrigger, configStateOf, type ConfigTable, configTable } from './config-table.ts';
export { type Block, clamp, loadBlock, loadScalingBlock, meanLoad } from './scaling.ts';
