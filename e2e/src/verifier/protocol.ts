import type { Expectation } from './judge.ts';
import type { ComparisonOutcome, LiveFigures } from './verifier.ts';

/** What the verifier's process receives at its start. */
export interface VerifierSettings {
  readonly server: string;
  readonly ca: string;
  readonly token: string;
  /** The metrics Service whose EndpointSlices name the targets. */
  readonly namespace: string;
  readonly service: string;
  /** Name of the targets' port in the EndpointSlices. */
  readonly portName: string;
  readonly referenceUrl: string;
  /** CPU budget, cores. */
  readonly cores: number;
  /** Longest that a scrape of a target may take; it is announced. ms. */
  readonly scrapeTimeoutMs?: number | undefined;
}

export type VerifierRequest =
  | { readonly type: 'start'; readonly settings: VerifierSettings }
  | { readonly type: 'startPhase'; readonly id: number; readonly name: string; readonly expectation: Expectation }
  | { readonly type: 'endPhase'; readonly id: number }
  | { readonly type: 'compare'; readonly id: number; readonly withinMs: number };

/** Answer to a request; `startPhase` has none. */
export type VerifierResult = LiveFigures | ComparisonOutcome | null;

export type VerifierResponse =
  | { readonly type: 'tick'; readonly live: LiveFigures }
  | { readonly type: 'done'; readonly id: number; readonly result: VerifierResult }
  | { readonly type: 'failed'; readonly id: number; readonly message: string };
