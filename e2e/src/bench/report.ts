import type { Results } from './results.ts';
export function report(results: Results): string { return JSON.stringify(results, (k, v) => (Array.isArray(v) && v.length > 12 ? `${v.length} items` : v), 1); }
