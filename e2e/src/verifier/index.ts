export { VerifierProcess } from './client.ts';
export type { Expectation } from './judge.ts';
export type { ComparisonOutcome, LiveFigures } from './verifier.ts';
