import { type Heartbeat, MAX_UNAVAILABLE } from '@shard-controller/shared/contracts';
import type { DataPlaneStatus } from '../data-plane/index.ts';
import type { WorkerIdentity } from '../worker-identity.ts';
import { phaseOf } from './phase.ts';
import { staleness } from './readiness.ts';
import type { WorkerSnapshot } from './worker-snapshot.ts';

/** Most handovers of a heartbeat, contracts/heartbeat.ts. */
const MAX_HANDOVERS = 256;
const MAX_REASON = 200;
const MAX_NOTE = 500;
const MAX_RESOURCE_NAME = 120;

/** A heartbeat of this moment. */
export function heartbeatOf(
  identity: WorkerIdentity,
  snapshot: WorkerSnapshot,
  sequence: number,
  sentAt: number,
): Heartbeat {
  const { dataPlane, assignment, refusal } = snapshot;
  const note = [staleness(dataPlane), snapshot.mismatch, snapshot.unconfirmed]
    .filter((each) => each !== undefined)
    .join('; ');
  return {
    v: 'shard.heartbeat.v1',
    uid: identity.uid,
    shardId: identity.shardId,
    replica: identity.replica,
    pod: identity.pod,
    node: identity.node,
    boot: identity.boot,
    sequence,
    sentAt,
    revision: identity.revision,
    phase: phaseOf({ ...snapshot, ...dataPlane, assigned: assignment !== undefined }),
    generation: assignment?.generation ?? 0,
    epoch: assignment?.epoch ?? 0,
    ...(refusal === undefined ? {} : { refused: refusal }),
    feeds: { ...dataPlane.feeds, oldestProofMs: Math.max(0, finite(dataPlane.feeds.oldestProofMs)) },
    exporter: snapshot.exporter,
    gateway: {
      state: snapshot.gateway.state,
      reason: snapshot.gateway.reason.slice(0, MAX_REASON),
      ...(snapshot.gateway.startsOver === true ? { startsOver: true } : {}),
      scrapers: [...snapshot.scrapers],
      ...(snapshot.readSince === undefined ? {} : { readSince: snapshot.readSince }),
    },
    ...(note === '' ? {} : { note: note.slice(0, MAX_NOTE) }),
    ...unavailableOf(dataPlane.unavailable ?? []),
    slots: dataPlane.slots,
    load: {
      objects: dataPlane.objects,
      expositionBytes: snapshot.exposition.bytes,
      memoryBytes: snapshot.memoryBytes,
      scrapeDurationMs: snapshot.exposition.durationMs,
      queueDepth: dataPlane.queueDepth,
      objectsByResource: shortNames(dataPlane.objectsByResource),
      objectBytes: Math.round(snapshot.cost.bytes),
      churnBytesPerSecond: Math.round(snapshot.cost.churn),
    },
    handovers: dataPlane.handovers.slice(0, MAX_HANDOVERS),
  };
}

function unavailableOf(kinds: NonNullable<DataPlaneStatus['unavailable']>): Pick<Heartbeat, 'unavailable'> {
  if (kinds.length === 0) return {};
  const named = kinds.slice(0, MAX_UNAVAILABLE).map((each) => ({
    ...each,
    kind: each.kind.slice(0, MAX_RESOURCE_NAME),
    message: shortened(each.message, MAX_NOTE),
  }));
  return { unavailable: { total: kinds.length, kinds: named } };
}

/** Cut in its middle: what is to be done stands at its end. */
function shortened(text: string, most: number): string {
  if (text.length <= most) return text;
  const end = Math.floor(most / 2);
  return `${text.slice(0, most - end - 3)} … ${text.slice(-end)}`;
}

/** JSON has no infinity: a feed without any proof yet is as old as can be said. */
function finite(ms: number): number {
  return Number.isFinite(ms) ? ms : Number.MAX_SAFE_INTEGER;
}

function shortNames(counts: Readonly<Record<string, number>>): Record<string, number> {
  return Object.fromEntries(Object.entries(counts).map(([name, count]) => [name.slice(0, MAX_RESOURCE_NAME), count]));
}
