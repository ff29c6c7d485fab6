export { elapse, OwnTime, PATIENCE_MS, retried, untilWell, waitUntil, type WaitOptions } from './waiting.ts';
