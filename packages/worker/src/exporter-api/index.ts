export { type Caller, ExporterApi } from './exporter-api.ts';
export { type FeedDirectory, isCustomResourceDefinitions } from './exporter-reads.ts';
export {
  exporterLife,
  type ExporterState,
  exporterTimes,
  feedsInUse,
  type KnownPast,
  notificationDelay,
  type StartOutlook,
  startOutlook,
} from './exporter-lifecycle.ts';
