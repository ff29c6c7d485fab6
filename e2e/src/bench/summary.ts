import type { Results } from './results.ts';
export function summaryOf(results: Results) { return { at: results.at }; }
