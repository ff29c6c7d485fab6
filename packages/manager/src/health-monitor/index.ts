export {
  canServe,
  classify,
  type HealthBounds,
  healthBounds,
  needsInstanceRead,
  type ShardSignals,
} from './classification.ts';
export { type HealthSignal, type HealthTable, healthTable } from './machine.ts';
export { shardCommand } from './observation.ts';
export { standbyCommand, type StandbySignals } from './standby.ts';
export { isTakeoverDue } from './takeover.ts';
