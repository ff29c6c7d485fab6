export { type Decision, type DecisionEnvelope, decisionEnvelopeSchema, type NewDecision } from './decision.ts';
export { InvalidEventError, UnknownEventError } from './errors.ts';
export type { Upcasters } from './event-codec.ts';
export {
  EventLog,
  type EventLogOptions,
  type LogAppendResult,
  type LogFollowOptions,
  type LogHead,
} from './event-log.ts';
export { compareLog, type FoundLog, type LogComparison, nextGeneration, type SeenEpoch } from './log-comparison.ts';
