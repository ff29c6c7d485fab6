export type { ConfigRunner } from './config-runner.ts';
export { Fleet } from './fleet.ts';
export { DecisionMetrics } from './metrics.ts';
export { type KnownMigrations, describeEvent } from './event-message.ts';
