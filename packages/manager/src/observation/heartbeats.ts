import {
  ALL_HEARTBEATS,
  type Heartbeat,
  parseHeartbeatSubject,
  type WorkerAddress,
} from '@shard-controller/shared/contracts';
import type { MessageLink } from './message-link.ts';
import { parseHeartbeat } from './ping.ts';

/** Heartbeats are specified to stay below this; anything larger is refused unread. Bytes of UTF-16 text. */
const MAX_HEARTBEAT_LENGTH = 64 * 1024;

export interface HeartbeatListenerOptions {
  readonly link: MessageLink;
  readonly onHeartbeat: (address: WorkerAddress, heartbeat: Heartbeat) => void;
  /** Called for a message that is no heartbeat of the subject it came on. */
  readonly onGarbage: (subject: string, reason: string) => void;
}

/** Hands on every well-formed heartbeat whose content agrees with its subject; everything else is counted. */
export function listenForHeartbeats(options: HeartbeatListenerOptions, signal: AbortSignal): void {
  const { link, onHeartbeat, onGarbage } = options;
  link.subscribe(
    ALL_HEARTBEATS,
    (subject, data) => {
      const address = parseHeartbeatSubject(subject);
      if (address === undefined) return onGarbage(subject, 'subject is not shard.heartbeats.<namespace>.<config>.<shard>.<replica>');
      if (data.length > MAX_HEARTBEAT_LENGTH) return onGarbage(subject, `${data.length} bytes are too large for a heartbeat`);
      const heartbeat = parseHeartbeat(data);
      if (heartbeat === undefined) return onGarbage(subject, 'not a shard.heartbeat.v1 message');
      if (heartbeat.shardId !== address.shardId || heartbeat.replica !== address.replica) {
        return onGarbage(subject, `says it is ${heartbeat.shardId}/${heartbeat.replica}`);
      }
      onHeartbeat(address, heartbeat);
    },
    signal,
  );
}
