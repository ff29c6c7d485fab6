export { stateDigest } from './fleet-answers.ts';
export { inspectionRoutes } from './inspection-routes.ts';
export { inspectionEndpoints, type InspectionOptions, inspectionService } from './inspection.ts';
export { isManagerGone } from './presence.ts';
