import type { Handover, Heartbeat } from '@shard-controller/shared/contracts';
import { fitsMessage } from '@shard-controller/shared/nats';

const SHORT_ERROR = 40;
/** Kinds whose counts are kept in a crowded heartbeat: those with the most objects. */
const FEW_KINDS = 100;
/** Handovers and scrapers that fit whatever their names. */
const FEW_HANDOVERS = 128;
const FEW_SCRAPERS = 32;

/**
 * A heartbeat that fits into a message: drops first what people can look up elsewhere, and of what the manager decides
 * upon only what no assignment names so many of.
 */
export function fitting(heartbeat: Heartbeat): Heartbeat {
  let candidate = heartbeat;
  for (const shorten of STEPS) {
    if (fitsMessage(candidate)) return candidate;
    candidate = shorten(candidate);
  }
  return candidate;
}

const STEPS: readonly ((heartbeat: Heartbeat) => Heartbeat)[] = [
  (heartbeat) => ({
    ...heartbeat,
    handovers: heartbeat.handovers.map((handover) =>
      handover.error === undefined ? handover : { ...handover, error: handover.error.slice(0, SHORT_ERROR) },
    ),
  }),
  (heartbeat) => ({
    ...heartbeat,
    load: { ...heartbeat.load, objectsByResource: largest(heartbeat.load.objectsByResource, FEW_KINDS) },
  }),
  (heartbeat) => ({
    ...heartbeat,
    load: { ...heartbeat.load, objectsByResource: {} },
    handovers: heartbeat.handovers.map((handover) => withoutError(handover)),
  }),
  (heartbeat) => ({
    ...heartbeat,
    gateway: { ...heartbeat.gateway, scrapers: heartbeat.gateway.scrapers.slice(0, FEW_SCRAPERS) },
    handovers: heartbeat.handovers.slice(0, FEW_HANDOVERS),
  }),
];

function withoutError(handover: Handover): Handover {
  const copy = { ...handover };
  delete copy.error;
  return copy;
}

function largest(counts: Readonly<Record<string, number>>, limit: number): Record<string, number> {
  const entries = Object.entries(counts).sort(([, a], [, b]) => b - a);
  return Object.fromEntries(entries.slice(0, limit));
}
