export { type InspectionOptions, serveInspection } from './inspection.ts';
