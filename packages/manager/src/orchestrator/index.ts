export { type ConfigTrigger, configStateOf, type ConfigTable, configTable } from './config-table.ts';
export { type Hold, clamp, loadHold, loadScalingHold, meanLoad } from './scaling.ts';
