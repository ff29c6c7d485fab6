import {
  ASSIGNMENT_STREAM,
  assignmentSubject,
  heartbeatSubject,
  pingSubject,
  verifySubject,
  type WorkerAddress,
} from '@shard-controller/shared/contracts';
import { storedSubject } from '@shard-controller/shared/nats';

/** What one worker may do on NATS, in the form of a user's JWT. */
export interface WorkerPermissions {
  readonly pub: { readonly allow: string[]; readonly deny: string[] };
  readonly sub: { readonly allow: string[]; readonly deny: string[] };
  /** Answers to a request that it was sent. */
  readonly resp: { readonly max: number; readonly ttl: number };
}

const NANOSECONDS = 1_000_000_000;
/** Longer than a verification takes, s. */
const ANSWER_SECONDS = 30;

/**
 * A worker may send its own heartbeats, answer what it is asked, and read assignments. It can write to no stream, ask no
 * other worker, and listen to nobody's inbox but its own.
 *
 * @param inbox the name of its pod: last part of the subjects on which it hears answers.
 */
export function workerPermissions(worker: WorkerAddress, inbox: string): WorkerPermissions {
  const reads = ['STREAM.INFO', 'DIRECT.GET'].map((call) => `$JS.API.${call}.${ASSIGNMENT_STREAM}`);
  return {
    pub: { allow: [heartbeatSubject(worker), ...reads, `$JS.API.DIRECT.GET.${ASSIGNMENT_STREAM}.>`], deny: [] },
    sub: {
      allow: [
        `_INBOX.${inbox}.>`,
        pingSubject(worker),
        verifySubject(worker),
        storedSubject(assignmentSubject(worker)),
      ],
      deny: [],
    },
    resp: { max: 1, ttl: ANSWER_SECONDS * NANOSECONDS },
  };
}
