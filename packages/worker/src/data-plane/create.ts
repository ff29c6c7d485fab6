import type { DataPlane, DataPlaneOptions } from './data-plane.ts';
import { faultyDataPlane } from './faults.ts';
import { WorkerDataPlane } from './worker-data-plane.ts';

/** The data plane for these options; it serves nothing before `run`. */
export function createDataPlane(options: DataPlaneOptions): DataPlane {
  return options.fault === undefined ? new WorkerDataPlane(options) : faultyDataPlane(options, options.fault);
}
