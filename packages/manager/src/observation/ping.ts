import { type Heartbeat, heartbeatSchema, pingSubject, type WorkerAddress } from '@shard-controller/shared/contracts';
import type { MessageLink } from './message-link.ts';

/**
 * `gone`: the NATS server knows of nobody who listens, a positive sign that the process has lost its connection.
 * `silent`: no answer in time; `unknown`: the question itself could not be asked. Neither is evidence.
 */
export type PingResult =
  | { readonly kind: 'alive'; readonly heartbeat: Heartbeat }
  | { readonly kind: 'gone' }
  | { readonly kind: 'silent' }
  | { readonly kind: 'unknown'; readonly reason: string };

/** Asks one worker process whether it is there. */
export async function ping(link: MessageLink, address: WorkerAddress, timeoutMs: number): Promise<PingResult> {
  const outcome = await link.request(pingSubject(address), '', timeoutMs);
  switch (outcome.kind) {
    case 'no-responders':
      return { kind: 'gone' };
    case 'timeout':
      return { kind: 'silent' };
    case 'disconnected':
      return { kind: 'unknown', reason: outcome.reason };
    case 'reply': {
      const heartbeat = parseHeartbeat(outcome.data);
      return heartbeat === undefined
        ? { kind: 'unknown', reason: 'the answer is not a heartbeat' }
        : { kind: 'alive', heartbeat };
    }
  }
}

/** A heartbeat, or undefined for anything else: every subject can carry garbage. */
export function parseHeartbeat(data: string): Heartbeat | undefined {
  try {
    return heartbeatSchema.safeParse(JSON.parse(data)).data;
  } catch {
    return undefined;
  }
}
