export { type Caller, ExporterApi, type FeedDirectory, isCustomResourceDefinitions } from './exporter-api.ts';
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
