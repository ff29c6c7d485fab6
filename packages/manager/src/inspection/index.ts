export { stateDigest } from './fleet-answers.ts';
export { inspectionService } from './inspection.ts';
export { isManagerGone } from './presence.ts';
