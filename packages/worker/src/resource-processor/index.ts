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
export { createDataPlane, ExporterApiListenError } from './worker-data-plane.ts';
