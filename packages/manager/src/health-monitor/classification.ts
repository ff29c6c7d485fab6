import type { Heartbeat } from '@shard-controller/shared/contracts';
import type { Health, ShardObservation } from '../aggregate/model.ts';

/**
 * Everything known about one worker, from sources that fail independently. Times are ms on this manager's clock (when
 * *it* saw something), never the worker's, so that clock skew cannot fake life or death.
 */
export interface ShardSignals {
  /** Newest heartbeat, and when it arrived. */
  readonly heartbeat: { readonly at: number; readonly content: Heartbeat } | undefined;
  /** Since when this manager could have heard one: subscription live, leading, last end of an own stall. */
  readonly hearingSince: number;
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
}

/** Ages that matter, ms; they follow from `healthCheckInterval`. */
export interface HealthBounds {
  readonly suspectMs: number;
  readonly failedMs: number;
  /** A silent worker with one positive sign of its loss is replaced by its standby after this. */
  readonly takeoverMs: number;
  /** A worker writes its ShardInstance.status at least this often. */
  readonly statusIntervalMs: number;
  /** A load to which nothing was added for so long does not get on. */
  readonly standstillMs: number;
}

/** One and a half of the heartbeats, which come every second whatever the interval, ms. */
const LEAST_TAKEOVER_MS = 1_500;

/** Bounds for a `healthCheckInterval`: with the default of 2 s a silent worker is Suspect after 2 s, Failed after 4 s. */
export const healthBounds = (intervalMs: number): HealthBounds => ({
  suspectMs: intervalMs,
  failedMs: 2 * intervalMs,
  takeoverMs: Math.max(LEAST_TAKEOVER_MS, 0.75 * intervalMs),
  statusIntervalMs: 10_000,
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
 * Health of one shard as seen from outside. `previous` is its health in the state. Silence alone is Suspect; Failed also needs one positive signal that the
 * worker is gone. Before the first heartbeat of a shard that was never Healthy, silence means Starting.
 */
export function classify(signals: ShardSignals, previous: Health, bounds: HealthBounds, now: number): Classification {
  const heardAt = signals.heartbeat?.at;
  if (heardAt === undefined && previous === 'Pending') return { health: 'Starting', evidence: ['no heartbeat yet'] };
  const silentMs = now - Math.max(heardAt ?? 0, signals.hearingSince);
  if (silentMs < bounds.suspectMs) return heard(signals, previous, bounds, now);
  const silent = `silent for ${(silentMs / 1000).toFixed(1)} s`;
  if (silentMs < bounds.failedMs) return { health: previous === 'Failed' ? 'Failed' : 'Suspect', evidence: [silent] };
  const proofs = proofsOfDeath(signals, bounds, now);
  if (proofs.length > 0) return { health: 'Failed', evidence: [silent, ...proofs] };
  return { health: previous === 'Failed' ? 'Failed' : 'Suspect', evidence: [silent, 'nothing else says it is gone'] };
}

function heard(
  { heartbeat, unableSince, standstillMs }: ShardSignals,
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

function proofsOfDeath(signals: ShardSignals, bounds: HealthBounds, now: number): readonly string[] {
  const { pod, ping, instanceStatusAt, heartbeat } = signals;
  if (pod === 'deleted') return ['pod deleted'];
  if (pod === 'terminated') return ['container terminated'];
  const heardAt = Math.max(heartbeat?.at ?? 0, signals.hearingSince);
  // It still writes to the API server: it lost NATS, not its life.
  if (instanceStatusAt !== undefined && instanceStatusAt > heardAt + bounds.suspectMs) return [];
  const proofs: string[] = [];
  if (ping === 'no-responders') proofs.push('ping: no responders');
  if (pod === 'not-ready') proofs.push('pod not ready');
  const statusAgeMs = now - Math.max(instanceStatusAt ?? 0, signals.hearingSince);
  if (instanceStatusAt !== undefined && statusAgeMs >= bounds.statusIntervalMs + bounds.suspectMs) {
    proofs.push(`ShardInstance status is ${(statusAgeMs / 1000).toFixed(0)} s old`);
  }
  return proofs;
}
