import type { CommandBody, ShardConfigState, ShardId, StandbyObservation } from '../aggregate/index.ts';
import type { HealthBounds, ShardSigns } from './classification.ts';
import { isTakeoverDue } from './takeover.ts';

/** What is seen of the two workers of a shard. */
export interface StandbySigns {
  readonly active: ShardSigns & { readonly terminating: boolean };
  readonly standby: Pick<ShardSigns, 'heartbeat'> & {
    /** Since when its heartbeats say that all its slots are in its exposition; undefined while they do not. */
    readonly runningSince: number | undefined;
    readonly terminating: boolean;
  };
}

/** A standby whose API server has been silent for longer may show what is no longer true, ms. */
const STALE_MS = 15_000;

/**
 * A worker that merely stalls is replaced only when it has done so for longer than the stall that its gateway
 * notices by itself when it continues (3 s), and a heartbeat's second: else it could answer under its old epoch. ms.
 */
const STALL_SEEN_MS = 4_000;

/**
 * So long a worker holds scrapes back while its exporter starts over. Taking over sooner would lose them, and its standby
 * is about to do the same. ms.
 */
const STARTS_OVER_MS = 8_000;

/**
 * The command to let the standby of a shard serve, or undefined where it cannot, or need not. A wrong promotion costs
 * little: the standby shows the same, and the epoch fences the other one. So it takes less than calling a shard Failed.
 */
export function standbyCommand(
  state: ShardConfigState,
  shardId: ShardId,
  signs: StandbySigns,
  bounds: HealthBounds,
  now: number,
): Extract<CommandBody, { type: 'StandbyReady' }> | undefined {
  const { active, standby } = signs;
  const content = standby.heartbeat?.content;
  if (content === undefined || !canTakeOver(state, shardId, standby, bounds, now)) return undefined;
  const runningMs = now - (standby.runningSince ?? now);
  const grace = state.settings?.failover.startGraceWithRoomMs ?? 0;
  const isStarting = state.shards[shardId]?.health === 'Pending';
  const evidence = isStarting ? lateStart(active, runningMs, grace) : lossOf(active, runningMs, bounds, now);
  const observation: StandbyObservation = {
    shardId,
    replica: content.replica,
    revision: content.revision,
    active: { lost: evidence !== undefined, terminating: active.terminating },
    evidence: evidence ?? [],
  };
  return isTakeoverDue(state, observation) ? { type: 'StandbyReady', observation } : undefined;
}

/** Whether the standby would answer the next scrape completely, as far as its newest heartbeat tells. */
function canTakeOver(
  state: ShardConfigState,
  shardId: ShardId,
  { heartbeat, runningSince, terminating }: StandbySigns['standby'],
  bounds: HealthBounds,
  now: number,
): boolean {
  if (heartbeat === undefined || terminating || now - heartbeat.at >= bounds.suspectMs) return false;
  const { phase, exporter, generation, epoch, feeds } = heartbeat.content;
  const isWhole = phase === 'Running' && runningSince !== undefined && exporter.state === 'running';
  const isCurrent = generation === state.generation && epoch >= (state.shards[shardId]?.epoch ?? 0);
  return isWhole && isCurrent && feeds.oldestProofMs < STALE_MS;
}

/** Why the active worker counts as lost, or undefined. `standbyMs`: how long the standby could have served. */
function lossOf(
  { heartbeat, listeningSince, ping, pod, coldSince }: ShardSigns,
  standbyMs: number,
  bounds: HealthBounds,
  now: number,
): readonly string[] | undefined {
  const heardAt = heartbeat?.at ?? Number.NEGATIVE_INFINITY;
  const silentMs = now - Math.max(heardAt, listeningSince);
  const silent = `silent for ${(silentMs / 1000).toFixed(1)} s`;
  // After an outage of NATS not all workers are heard again at the same moment.
  const patience = heardAt > listeningSince ? bounds.takeoverMs : bounds.failedMs;
  if (silentMs >= patience) {
    if (ping === 'no-responders') return [silent, 'ping: no responders'];
    if (pod === 'deleted' || pod === 'terminated') return [silent, `pod ${pod}`];
  }
  if (silentMs >= Math.max(bounds.failedMs, STALL_SEEN_MS)) {
    if (ping === 'unanswered') return [silent, 'ping: no answer'];
    if (pod === 'not-ready') return [silent, 'pod not ready'];
  }
  if (silentMs >= bounds.suspectMs) return undefined;
  // The standby may have been at it for a moment longer.
  const coldMs = Math.min(now - (coldSince ?? now), standbyMs);
  const isStartingOver = heartbeat?.content.gateway.startsOver === true;
  const coldLimitMs = Math.max(bounds.takeoverMs, isStartingOver ? STARTS_OVER_MS : 0);
  return coldMs < coldLimitMs ? undefined : [`not ready to serve for ${(coldMs / 1000).toFixed(1)} s`];
}

/** At a start the standby may be done a little sooner, and a worker that has not been heard yet is not gone. */
function lateStart(
  { heartbeat, coldSince }: ShardSigns,
  standbyMs: number,
  graceMs: number,
): readonly string[] | undefined {
  const serves = heartbeat !== undefined && coldSince === undefined;
  return serves || standbyMs < graceMs
    ? undefined
    : [`still starting, while its standby finished ${(standbyMs / 1000).toFixed(0)} s ago`];
}
