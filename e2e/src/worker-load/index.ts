export { measureWorkerFrames, type WorkerFigures, type WorkerLoad } from './measure.ts';
