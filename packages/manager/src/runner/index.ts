export type { ConfigRunner } from './config-runner.ts';
export { Fleet } from './fleet.ts';
export { DecisionMetrics } from './metrics.ts';
export { type KnownMigrations, narrate } from './narration.ts';
