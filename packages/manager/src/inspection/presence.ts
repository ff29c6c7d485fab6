import type { NatsLink } from '@shard-controller/shared/nats';
import type { Clock } from '@shard-controller/shared/runtime';
import { z } from 'zod';
import { discoverySubject } from './inspection.ts';

const PROBES = 2;
const BETWEEN_PROBES_MS = 400;
const PROBE_TIMEOUT_MS = 500;
/** After a break every connection needs a moment to come back; until then an absence says nothing. ms. */
const SETTLED_MS = 3_000;

export interface PresenceOptions {
  readonly link: Pick<NatsLink, 'request' | 'status'>;
  /** Whether JetStream answers us; rejects when it does not. */
  readonly reachesLog: () => Promise<unknown>;
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
  { link, reachesLog, clock }: PresenceOptions,
  signal: AbortSignal,
): Promise<boolean> {
  for (let probe = 0; probe < PROBES; probe++) {
    if (probe > 0) await clock.sleep(BETWEEN_PROBES_MS, signal);
    const { connected, since } = link.status;
    if (signal.aborted || !connected || clock.now() - since < SETTLED_MS) return false;
    const subject = discoverySubject('PING', identity);
    const { kind } = await link.request({ subject, body: {}, schema: z.unknown(), timeoutMs: PROBE_TIMEOUT_MS });
    if (kind !== 'no-responders') return false;
  }
  return reachesLog().then(
    () => true,
    () => false,
  );
}
