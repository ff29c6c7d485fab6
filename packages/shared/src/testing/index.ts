export { elapse, OwnTime, PATIENCE_MS, retried, until, untilWell, waitUntil, type WaitOptions } from './waiting.ts';
export { SteppingClock } from './stepping-clock.ts';
export { ManualClock, settle } from './manual-clock.ts';
