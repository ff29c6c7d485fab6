export {
  activeReplicaOf,
  type Assignment,
  assignmentProblem,
  assignmentSchema,
  compareEpoch,
  hashRangeSchema,
  type MigratingRange,
  migratingRangeSchema,
  shardIdSchema,
} from './assignment.ts';
export {
  type Handover,
  handoverSchema,
  type Heartbeat,
  heartbeatSchema,
  MAX_UNAVAILABLE,
  type Scraper,
  scraperSchema,
  type UnavailableKind,
  unavailableKindSchema,
} from './heartbeat.ts';
export {
  ALL_HEARTBEATS,
  ASSIGNMENT_STREAM,
  assignmentSubject,
  EVENT_STREAM,
  eventSubject,
  heartbeatSubject,
  parseHeartbeatSubject,
  pingSubject,
  type Replica,
  type ShardAddress,
  SubjectTokenError,
  verifySubject,
  type WorkerAddress,
} from './subjects.ts';
export { type VerifyReply, type VerifyRequest, verifyReplySchema, verifyRequestSchema } from './verify.ts';
