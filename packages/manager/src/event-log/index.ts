export { type DecisionEnvelope, decisionEnvelopeSchema, type NewDecision } from './decision.ts';
export { EventLog, type LogHead } from './event-log.ts';
export { compareLog, nextGeneration, type SeenEpoch } from './log-comparison.ts';
