export type {
  CustomResourceKind,
  DataPlane,
  DataPlaneFault,
  DataPlaneMetrics,
  DataPlaneOptions,
  DataPlaneStatus,
  ExporterDiet,
  MigratingSlots,
  SlotAssignment,
  Upstream,
} from './data-plane.ts';
export type { FeedReport, Inspection, ObjectQuery, ObjectReport } from './inspection.ts';
export { ExporterApiListenError } from '../http/listener.ts';
export { createDataPlane } from './worker-data-plane.ts';
