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
  readonly onGarbage: (subject: string, reason: string) => void;
}

/** Hands on every well-formed heartbeat whose content agrees with its subject. Returns the end of it. */
export function listenForHeartbeats({ link, onHeartbeat, onGarbage }: HeartbeatListenerOptions): () => void {
  const subscription = link.subscribe({ subject: ALL_HEARTBEATS, schema: heartbeatSchema }, ({ subject, body }) => {
    const address = parseHeartbeatSubject(subject);
    if (address === undefined) {
      return onGarbage(subject, 'the subject is not shard.heartbeats.<namespace>.<config>.<shard>.<replica>');
    }
    if (!body.ok) return onGarbage(subject, body.problem);
    const { shardId, replica } = body.value;
    if (shardId !== address.shardId || replica !== address.replica) {
      return onGarbage(subject, `the sender says it is ${shardId}/${replica}`);
    }
    onHeartbeat(address, body.value);
  });
  return () => subscription.unsubscribe();
}
