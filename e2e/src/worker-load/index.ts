export { measureWorkerFrames } from './measure.ts';
