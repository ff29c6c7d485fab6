export { type InspectionOptions, serveInspection, stateDigest } from './inspection.ts';
