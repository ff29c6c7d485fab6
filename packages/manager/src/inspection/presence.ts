import type { NatsLink } from '@shard-controller/shared/nats';
import type { Clock } from '@shard-controller/shared/runtime';
import { z } from 'zod';
import { INSPECTION_SERVICE } from '@shard-controller/shared/contracts';
import { instanceId } from './inspection.ts';
import { discoverySubject } from './nats-service.ts';

const PROBES = 2;
const BETWEEN_PROBES_MS = 400;
const PROBE_TIMEOUT_MS = 500;
/** After a break every connection needs a moment to come back; until then an absence says nothing. ms. */
const SETTLED_MS = 3_000;

export interface PresenceOptions {
  readonly link: Pick<NatsLink, 'request' | 'status'>;
  /** Whether JetStream answers us; rejects when it does not. */
  readonly reachesLog: () => Promise<unknown>;
  /** Our own name in the Lease. */
  readonly identity: string;
  readonly clock: Clock;
}

/**
 * Whether another manager has lost its connection to NATS while ours and the event log's work: the server knows of
 * nobody who listens under its name, twice in a row. It can decide nothing then, because it could not write it down.
 * Silence, or trouble of our own, is no evidence. Never rejects.
 *
 * @param identity the other's name in the Lease.
 */
export async function isManagerGone(
  identity: string,
  { link, reachesLog, identity: own, clock }: PresenceOptions,
  signal: AbortSignal,
): Promise<boolean> {
  const ping = async (manager: string): Promise<string> => {
    const subject = discoverySubject('PING', INSPECTION_SERVICE, instanceId(manager));
    return (await link.request({ subject, body: {}, schema: z.unknown(), timeoutMs: PROBE_TIMEOUT_MS })).kind;
  };
  if (signal.aborted || !isSettled(link, clock)) return false;
  // If permissions keep managers from answering, no leader is ever found, and two managers would take the Lease by turns.
  if ((await ping(own)) !== 'reply') return false;
  for (let probe = 0; probe < PROBES; probe++) {
    if (probe > 0) await clock.sleep(BETWEEN_PROBES_MS, signal);
    if (signal.aborted || !isSettled(link, clock)) return false;
    if ((await ping(identity)) !== 'no-responders') return false;
  }
  return reachesLog().then(
    () => true,
    () => false,
  );
}

function isSettled({ status: { connected, since } }: Pick<NatsLink, 'status'>, clock: Clock): boolean {
  return connected && clock.now() - since >= SETTLED_MS;
}
