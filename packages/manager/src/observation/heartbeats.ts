import {
  ALL_HEARTBEATS,
  type Heartbeat,
  heartbeatSchema,
  parseHeartbeatSubject,
  type WorkerAddress,
} from '@shard-controller/shared/contracts';
import type { MessageLink } from './message-link.ts';

export interface HeartbeatListenerOptions {
  readonly link: MessageLink;
  readonly onHeartbeat: (address: WorkerAddress, heartbeat: Heartbeat) => void;
  /** Called for a message that is no heartbeat of the subject it came on. */
  readonly onInvalid: (subject: string, reason: string) => void;
}

/** Hands on every well-formed heartbeat whose content agrees with its subject. Returns the end of it. */
export function listenForHeartbeats({ link, onHeartbeat, onInvalid }: HeartbeatListenerOptions): () => void {
  const subscription = link.subscribe({ subject: ALL_HEARTBEATS, schema: heartbeatSchema }, ({ subject, body }) => {
    const address = parseHeartbeatSubject(subject);
    if (address === undefined) {
      return onInvalid(subject, 'the subject is not shard.heartbeats.<namespace>.<config>.<shard>.<replica>');
    }
    if (!body.ok) return onInvalid(subject, body.problem);
    const { shardId, replica } = body.value;
    if (shardId !== address.shardId || replica !== address.replica) {
      return onInvalid(subject, `the sender says it is ${shardId}/${replica}`);
    }
    onHeartbeat(address, body.value);
  });
  return () => subscription.unsubscribe();
}
