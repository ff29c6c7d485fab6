export type { KindCheck } from './comparison.ts';
export { SelfCheck } from './self-check.ts';
