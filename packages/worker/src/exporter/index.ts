export { ExporterMonitor } from './exporter-monitor.ts';
export { exporterReports } from './exporter-reports.ts';
export { type ExporterAddress, ExporterStatusError, openExposition } from './exposition-source.ts';
export { Gateway, type GatewayReports, type ScrapeOutcome } from './gateway.ts';
export { type GatewayState, gatewayState } from './gateway-state.ts';
export { ScraperTracker } from './scraper-tracker.ts';
export { StallGuard, type StallGuardOptions } from './stall-guard.ts';
