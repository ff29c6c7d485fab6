export { SelfCheck } from './self-check.ts';
