import { type Assignment, type Heartbeat, MAX_UNAVAILABLE, type Scraper } from '@shard-controller/shared/contracts';
import type { Refusal } from '../assignment/index.ts';
import type { GatewayState } from '../exporter/index.ts';
import type { DataPlaneStatus } from '../data-plane/data-plane.ts';
import { staleness } from '../readiness.ts';
import type { WorkerIdentity } from '../worker-identity.ts';
import { phaseOf } from './phase.ts';

/** Everything that a heartbeat tells, taken at one moment. */
export interface WorkerSnapshot {
  readonly assignment: Assignment | undefined;
  readonly refusal: Refusal | undefined;
  /** An assignment that NATS names and the ShardInstance does not hold, for people. */
  readonly unconfirmed: string | undefined;
  readonly dataPlane: DataPlaneStatus;
  readonly gateway: GatewayState;
  readonly scrapers: readonly Scraper[];
  /** Start of the first scrape that was completed, ms since the epoch; undefined before it. */
  readonly readSince: number | undefined;
  readonly exporter: Heartbeat['exporter'];
  /** How long the exporter has not answered, ms. */
  readonly exporterUnreachableMs: number;
  /** Newest complete exposition: bytes, and ms that it took. */
  readonly exposition: { readonly bytes: number; readonly durationMs: number };
  /** Resident memory of worker and exporter, bytes. */
  readonly memoryBytes: number;
  /** Which kinds the exporter was found not to show as it was sent them, for people; undefined while all is well. */
  readonly mismatch: string | undefined;
  /** What all exposed objects take, bytes, and their live events, bytes per second. */
  readonly cost: { readonly bytes: number; readonly churn: number };
  readonly draining: boolean;
  readonly terminated: boolean;
}

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
