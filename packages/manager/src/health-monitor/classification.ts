import type { Heartbeat } from '@shard-controller/shared/contracts';
import type { Health, ShardObservation } from '../aggregate/index.ts';

/**
 * Everything known about one worker, from sources that fail independently. Times are ms on this manager's clock (when
 * *it* saw something), never the worker's, so that clock skew cannot fake life or death.
 */
export interface ShardSigns {
  /** Newest heartbeat, and when it arrived. */
  readonly heartbeat: { readonly at: number; readonly content: Heartbeat } | undefined;
  /** Since when this manager could have heard one: subscription live, leading, last end of an own stall. */
  readonly listeningSince: number;
  /** Since when heartbeats say that the worker cannot serve (`canServe`); undefined while it can. */
  readonly unableSince: number | undefined;
  /** What became of the newest ping sent after the newest heartbeat. `none`: not asked, answered, or not known. */
  readonly ping: 'no-responders' | 'unanswered' | 'none';
  /** Since when its heartbeats say that its gateway is not ready to serve; undefined while it is. */
  readonly coldSince: number | undefined;
  /** How long nothing was added to what its exporter has yet to show, ms; 0 when it shows everything. */
  readonly standstillMs: number;
  /** Newest state of the pod; `unknown` when the API server has not been heard. */
  readonly pod: 'ready' | 'not-ready' | 'terminated' | 'deleted' | 'unknown';
  /** When the worker's entry in ShardInstance.status was last seen to change; undefined = never. */
  readonly instanceStatusAt: number | undefined;
  /**
   * When this manager last asked the API server itself for the ShardInstance and got it: that there was no change until
   * then is a fact, not the silence of a watch. Undefined = it has not asked, or got no answer.
   */
  readonly instanceReadAt: number | undefined;
}

/** Ages that matter, ms; they follow from `healthCheckInterval`. */
export interface HealthBounds {
  readonly suspectMs: number;
  readonly failedMs: number;
  /** A silent worker with one positive sign of its loss is replaced by its standby after this. */
  readonly takeoverMs: number;
  /**
   * A silent worker whose ShardInstance.status is not renewed for so long has lost the API server, too. Without NATS it
   * renews it at once and every 2 s.
   */
  readonly statusMs: number;
  /** A load to which nothing was added for so long makes no progress. */
  readonly standstillMs: number;
}

/** One and a half of the heartbeats, which come every second whatever the interval, ms. */
const LEAST_TAKEOVER_MS = 1_500;

/** Two renewals of the status by a worker without NATS, ms. */
const LEAST_STATUS_MS = 4_000;

/** Bounds for a `healthCheckInterval`: with the default of 2 s a silent worker is Suspect after 2 s, Failed after 4 s. */
export const healthBounds = (intervalMs: number): HealthBounds => ({
  suspectMs: intervalMs,
  failedMs: 2 * intervalMs,
  takeoverMs: Math.max(LEAST_TAKEOVER_MS, 0.75 * intervalMs),
  statusMs: Math.max(LEAST_STATUS_MS, 2 * intervalMs),
  standstillMs: 10_000,
});

/** Whether a heartbeat says that the worker can take slots: running, or loading with a living exporter. */
export function canServe(heartbeat: Heartbeat): boolean {
  const { phase, exporter } = heartbeat;
  if (phase === 'Running' || phase === 'Draining') return exporter.state !== 'unreachable';
  return phase === 'Warming' && exporter.state === 'running';
}

/** A verdict on one shard, and what it rests on, in words. */
export interface Classification {
  readonly health: ShardObservation['health'];
  readonly evidence: readonly string[];
}

const OBSERVED_AS: Readonly<Record<Health, ShardObservation['health']>> = {
  Pending: 'Starting',
  Healthy: 'Healthy',
  Suspect: 'Suspect',
  Failed: 'Failed',
  Recovering: 'Starting',
};

/**
 * Health of one shard as seen from outside. `previous` is its health in the state. Silence on NATS alone, and a ping that
 * nobody answers, is Suspect, for as long as it lasts: a worker serves without NATS. Failed also needs a sign from the API
 * server, which fails independently. Before the first heartbeat of a shard that was never Healthy, silence means Starting.
 */
export function classify(signs: ShardSigns, previous: Health, bounds: HealthBounds, now: number): Classification {
  const heardAt = signs.heartbeat?.at;
  if (heardAt === undefined && previous === 'Pending') return { health: 'Starting', evidence: ['no heartbeat yet'] };
  const silentMs = now - Math.max(heardAt ?? 0, signs.listeningSince);
  if (silentMs < bounds.suspectMs) return heard(signs, previous, bounds, now);
  const silent = `silent for ${(silentMs / 1000).toFixed(1)} s`;
  if (silentMs < bounds.failedMs) return { health: previous === 'Failed' ? 'Failed' : 'Suspect', evidence: [silent] };
  const ping = signs.ping === 'no-responders' ? ['ping: no responders'] : [];
  const loss = signOfLoss(signs, bounds, now);
  if (loss !== undefined) return { health: 'Failed', evidence: [silent, ...ping, loss] };
  const life = renewsStatus(signs, bounds, now)
    ? 'it renews its ShardInstance status: it has lost NATS only'
    : 'the API server does not say that it is gone';
  return { health: previous === 'Failed' ? 'Failed' : 'Suspect', evidence: [silent, ...ping, life] };
}

/** Since when a worker is silent on NATS, as far as this manager could hear. */
const silentSince = ({ heartbeat, listeningSince }: ShardSigns): number => Math.max(heartbeat?.at ?? 0, listeningSince);

/**
 * Whether to ask the API server for the ShardInstance now: the worker counts as Failed if its status has not been renewed.
 */
export function needsInstanceRead(signs: ShardSigns, bounds: HealthBounds, now: number): boolean {
  if (now - silentSince(signs) < bounds.failedMs) return false;
  return now - statusSince(signs) >= statusPatience(signs, bounds) && signOfLoss(signs, bounds, now) === undefined;
}

/** Since when there was no sign of the worker, neither on NATS nor in its ShardInstance. */
const statusSince = (signs: ShardSigns): number => Math.max(signs.instanceStatusAt ?? 0, silentSince(signs));

/** Whether it has been writing to the API server for longer than it is silent on NATS. */
const outlivesNats = (signs: ShardSigns, { suspectMs }: HealthBounds): boolean =>
  (signs.instanceStatusAt ?? 0) > silentSince(signs) + suspectMs;

/** One that is known to live without NATS may be late with its status, and costs nothing meanwhile. */
const statusPatience = (signs: ShardSigns, bounds: HealthBounds): number =>
  outlivesNats(signs, bounds) ? 2 * bounds.statusMs : bounds.statusMs;

const renewsStatus = (signs: ShardSigns, bounds: HealthBounds, now: number): boolean =>
  outlivesNats(signs, bounds) && now - statusSince(signs) < statusPatience(signs, bounds);

function heard(
  { heartbeat, unableSince, standstillMs }: ShardSigns,
  previous: Health,
  bounds: HealthBounds,
  now: number,
): Classification {
  // Just began to listen: what was known before still holds.
  if (heartbeat === undefined || now - heartbeat.at >= bounds.suspectMs)
    return { health: OBSERVED_AS[previous], evidence: [] };
  const { phase, exporter, refused, slots } = heartbeat.content;
  const evidence = [
    `phase ${phase}, exporter ${exporter.state}`,
    ...(refused === undefined ? [] : [`refused an assignment: ${refused.reason}`.slice(0, 500)]),
  ];
  if (canServe(heartbeat.content)) {
    // A worker that does not say what is shown may wait for its exporter to come back, with everything in place.
    if (standstillMs < bounds.standstillMs || slots.shown === undefined) return { health: 'Healthy', evidence };
    return { health: 'Starting', evidence: [...evidence, `nothing loaded for ${(standstillMs / 1000).toFixed(0)} s`] };
  }
  // A short restart of the exporter under a living worker is repaired there faster than by moving slots.
  const unableMs = now - (unableSince ?? now);
  if ((previous === 'Healthy' || previous === 'Suspect') && unableMs < bounds.failedMs)
    return { health: 'Healthy', evidence };
  return { health: 'Starting', evidence };
}

/** What the API server says of the loss of a worker that is silent on NATS, or undefined. */
function signOfLoss(signs: ShardSigns, bounds: HealthBounds, now: number): string | undefined {
  const { pod, instanceReadAt = 0 } = signs;
  if (pod === 'deleted') return 'pod deleted';
  if (pod === 'terminated') return 'container terminated';
  if (pod === 'not-ready' && !renewsStatus(signs, bounds, now)) return 'pod not ready';
  const quietMs = instanceReadAt - statusSince(signs);
  if (quietMs < statusPatience(signs, bounds)) return undefined;
  return `ShardInstance status not renewed for ${(quietMs / 1000).toFixed(1)} s`;
}
