import { type Heartbeat, heartbeatSchema, pingSubject, type WorkerAddress } from '@shard-controller/shared/contracts';
import type { MessageLink } from './message-link.ts';

/**
 * `gone`: the NATS server knows of nobody who listens, a positive sign that the process has lost its connection.
 * `silent`: no answer in time; `unknown`: the question could not be asked or the answer is garbage. Neither is evidence.
 */
export type PingResult =
  | { readonly kind: 'alive'; readonly heartbeat: Heartbeat }
  | { readonly kind: 'gone' }
  | { readonly kind: 'silent' }
  | { readonly kind: 'unknown'; readonly reason: string };

/** Asks one worker process whether it is there. */
export async function ping(link: MessageLink, address: WorkerAddress, timeoutMs: number): Promise<PingResult> {
  const outcome = await link.request({ subject: pingSubject(address), body: {}, schema: heartbeatSchema, timeoutMs });
  switch (outcome.kind) {
    case 'no-responders':
      return { kind: 'gone' };
    case 'timeout':
      return { kind: 'silent' };
    case 'disconnected':
      return { kind: 'unknown', reason: 'no connection to NATS' };
    case 'reply':
      return outcome.reply.ok
        ? { kind: 'alive', heartbeat: outcome.reply.value }
        : { kind: 'unknown', reason: outcome.reply.problem };
  }
}
