/** NATS subjects. Every token is checked, because a Kubernetes name may hold dots and a forged one wildcards. */

export const EVENT_STREAM = 'SHARD_EVENTS';
export const ASSIGNMENT_STREAM = 'SHARD_ASSIGNMENTS';

/** Replica index of a shard: `a` is the first StatefulSet, `b` the hot standby. */
export type Replica = 'a' | 'b';

/** `shard-` and the ordinal in at least three digits: `shard-000`. Any text passes for one, but none that has a name of its own. */
export type ShardId = string & { readonly is?: 'shardId' };

/** A shard of a ShardConfig, as addressed on NATS. */
export interface ShardAddress {
  readonly namespace: string;
  readonly config: string;
  readonly shardId: ShardId;
}

/** One worker process of a shard. */
export interface WorkerAddress extends ShardAddress {
  readonly replica: Replica;
}

/**
 * A name that cannot be one NATS subject token.
 * @remedy give the object a name of lower-case letters, digits and hyphens.
 */
export class SubjectTokenError extends Error {
  readonly code = 'SC_SUBJECT_TOKEN';
  override readonly name = 'SubjectTokenError';
}

const TOKEN = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/;

function token(value: string): string {
  if (!TOKEN.test(value)) {
    throw new SubjectTokenError(
      `"${value}" cannot be part of a NATS subject: use a DNS label (a-z, 0-9, "-", at most 63 characters)`,
    );
  }
  return value;
}

export const eventSubject = (namespace: string, config: string, uid: string): string =>
  `shard.events.${token(namespace)}.${token(config)}.${token(uid)}`;

export const assignmentSubject = (a: ShardAddress): string =>
  `shard.assignments.${token(a.namespace)}.${token(a.config)}.${token(a.shardId)}`;

const worker = (kind: string, a: WorkerAddress): string =>
  `shard.${kind}.${token(a.namespace)}.${token(a.config)}.${token(a.shardId)}.${token(a.replica)}`;

export const heartbeatSubject = (a: WorkerAddress): string => worker('heartbeats', a);

/** Request/reply: answered with a heartbeat. "No responders" means that the process's connection is gone. */
export const pingSubject = (a: WorkerAddress): string => worker('ping', a);

/** Request/reply: count and digest of slots at a position, see `VerifyRequest`. */
export const verifySubject = (a: WorkerAddress): string => worker('verify', a);

export const ALL_HEARTBEATS = 'shard.heartbeats.>';

/** The worker that sent a message on a heartbeat subject, or undefined when the subject is not of that form. */
export function parseHeartbeatSubject(subject: string): WorkerAddress | undefined {
  const [shard, kind, namespace, config, shardId, replica, ...rest] = subject.split('.');
  if (shard !== 'shard' || kind !== 'heartbeats' || rest.length > 0) return undefined;
  if (namespace === undefined || config === undefined || shardId === undefined) return undefined;
  if (replica !== 'a' && replica !== 'b') return undefined;
  return { namespace, config, shardId, replica };
}
