export type { SlotAssignment } from '../slots/index.ts';
export { createDataPlane } from './create.ts';
export type { DataPlane, DataPlaneFault, DataPlaneStatus } from './data-plane.ts';
export { type FeedReport, Inspection, type ObjectQuery } from './inspection.ts';
