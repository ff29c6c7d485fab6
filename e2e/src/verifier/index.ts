export { VerifierProcess } from './client.ts';
export type { Expectation } from './judge.ts';
export type { LiveFigures } from './verifier.ts';
