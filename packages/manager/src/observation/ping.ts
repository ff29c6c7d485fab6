import { type Heartbeat, heartbeatSchema, pingSubject, type WorkerAddress } from '@shard-controller/shared/contracts';
import type { MessageLink } from './message-link.ts';

/**
 * `gone`: the NATS server knows of no listener, a positive sign that the process has lost its connection.
 * `silent`: no answer in time; `unknown`: the question could not be asked or the answer is invalid. Neither is evidence.
 */
export type PingResult =
  | { readonly kind: 'alive'; readonly heartbeat: Heartbeat }
  | { readonly kind: 'gone' }
  | { readonly kind: 'silent' }
  | { readonly kind: 'unknown'; readonly reason: string };

/** Asks one worker process whether it is there. */
export async function ping(link: MessageLink, address: WorkerAddress, timeoutMs: number): Promise<PingResult> {
  const outcome = await link.request({ subject: pingSubject(address), body: {}, schema: heartbeatSchema, timeoutMs });
  if (outcome.kind === 'no-responders') return { kind: 'gone' };
  if (outcome.kind === 'timeout') return { kind: 'silent' };
  if (outcome.kind === 'disconnected') return { kind: 'unknown', reason: 'no connection to NATS' };
  const { reply } = outcome;
  return reply.ok ? { kind: 'alive', heartbeat: reply.value } : { kind: 'unknown', reason: reply.problem };
}
