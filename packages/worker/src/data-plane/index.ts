export type { SlotAssignment } from '../slots/index.ts';
export type { DataPlane, DataPlaneFault, DataPlaneStatus } from './data-plane.ts';
export { type FeedReport, Inspection, type ObjectQuery } from './inspection.ts';
export { createDataPlane } from './worker-data-plane.ts';
