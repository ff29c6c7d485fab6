import {
  activeReplicaOf,
  type Assignment,
  compareEpoch,
  heartbeatSchema,
  pingSubject,
} from '@shard-controller/shared/contracts';
import type { NatsLink } from '@shard-controller/shared/nats';
import type { WorkerIdentity } from './worker-identity.ts';

/**
 * The other replica of the shard did not confirm, after a stall, that this one is still the one that serves.
 * @remedy none: the worker serves again once it has read its assignment. If it repeats, look at the API server and NATS.
 */
class PeerReplicaError extends Error {
  override readonly name = 'PeerReplicaError';
  readonly code = 'SC_PEER_REPLICA';
}

/** Longest wait for the answer, ms. */
const ANSWER_TIMEOUT_MS = 1000;

/**
 * Resolves when the other replica of the shard has just said that it stands by under the very assignment that makes this
 * one serve: then no replica was promoted while this process did not run. Needs NATS only, so it helps while the API server
 * is away. No answer, or another epoch, proves nothing. @throws PeerReplicaError with the reason
 */
export async function confirmByPeer(
  link: Pick<NatsLink, 'request'> | undefined,
  identity: WorkerIdentity,
  current: Assignment | undefined,
): Promise<void> {
  if (current?.activeReplica === undefined || activeReplicaOf(current) !== identity.replica) {
    throw new PeerReplicaError('no other replica stands by for this one');
  }
  if (link === undefined) throw new PeerReplicaError('there is no connection to NATS');
  const { namespace, config, shardId, uid } = identity;
  const replica = identity.replica === 'a' ? 'b' : 'a';
  const subject = pingSubject({ namespace, config, shardId, replica });
  const outcome = await link.request({ subject, body: {}, schema: heartbeatSchema, timeoutMs: ANSWER_TIMEOUT_MS });
  if (outcome.kind !== 'reply') throw new PeerReplicaError(`replica ${replica} on NATS: ${outcome.kind}`);
  if (!outcome.reply.ok) throw new PeerReplicaError(`replica ${replica} on NATS: ${outcome.reply.problem}`);
  const peer = outcome.reply.value;
  const { state } = peer.gateway;
  const standsBy = peer.uid === uid && compareEpoch(peer, current) === 0 && (state === 'standby' || state === 'fenced');
  if (!standsBy)
    throw new PeerReplicaError(`replica ${replica} is ${state} under epoch ${peer.generation}/${peer.epoch}`);
}
