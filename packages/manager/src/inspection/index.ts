export { serveInspection, stateDigest } from './inspection.ts';
export { isManagerGone } from './presence.ts';
