export { type Caller, ExporterApi, type FeedDirectory, isCustomResourceDefinitions } from './exporter-api.ts';
export {
  awaitsRestart,
  RESTART_LIMIT_MS,
  type StartOutlook,
  startOutlook,
  startsOver,
  tellAfter,
  wasLeft,
} from './exporter-restart.ts';
