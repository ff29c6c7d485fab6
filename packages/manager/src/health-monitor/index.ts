export {
  canServe,
  classify,
  type HealthBounds,
  healthBounds,
  needsInstanceRead,
  type ShardSigns,
} from './classification.ts';
export { type HealthTrigger, type HealthTable, healthTable } from './health-table.ts';
export { shardCommand } from './shard-command.ts';
export { standbyCommand, type StandbySigns } from './standby.ts';
export { isTakeoverDue } from './takeover.ts';
