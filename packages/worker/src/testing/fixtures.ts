import type { Assignment, Heartbeat, UnavailableKind } from '@shard-controller/shared/contracts';
import type { DataPlaneStatus } from '../data-plane/data-plane.ts';
import type { FeedReport } from '../data-plane/inspection.ts';
import type { WorkerSnapshot } from '../heartbeat-manager/worker-snapshot.ts';
import type { WorkerIdentity } from '../worker-identity.ts';

/** Values of a worker that serves, to vary in tests. */
export const identity: WorkerIdentity = {
  namespace: 'monitoring',
  config: 'main',
  uid: 'uid-1',
  shardId: 'shard-001',
  replica: 'a',
  pod: 'main-a-1',
  node: 'node-1',
  revision: 'r1',
  boot: 'boot-1',
  shardInstance: 'main-shard-001',
};

export function assignmentOver(over: Partial<Assignment> = {}): Assignment {
  return {
    v: 'shard.assignment.v1',
    shardConfig: { namespace: 'monitoring', name: 'main', uid: 'uid-1' },
    shardId: 'shard-001',
    generation: 1,
    epoch: 10,
    slotCount: 256,
    shardBy: 'uid',
    hashRanges: [{ start: 0, end: 50331647 }],
    warmRanges: [],
    releaseRanges: [],
    ...over,
  };
}

export function dataPlaneStatus(over: Partial<DataPlaneStatus> = {}): DataPlaneStatus {
  return {
    feeds: { synced: 8, total: 8, oldestProofMs: 120 },
    slots: { assigned: 3, acknowledged: 3, shown: 3 },
    handovers: [],
    exposedSlots: 3,
    warm: true,
    warmReason: '',
    startsOver: false,
    queueDepth: 0,
    objects: 30,
    objectsByResource: { pods: 20, configmaps: 10 },
    ...over,
  };
}

/** A feed of which everything was sent and acknowledged. */
export function feedReport(over: Partial<FeedReport> = {}): FeedReport {
  return {
    feed: '/api/v1/pods',
    path: '/api/v1/pods',
    resource: 'pods',
    collection: 'pods',
    accept: 'application/vnd.kubernetes.protobuf',
    isSharded: true,
    connected: true,
    filled: true,
    problem: undefined,
    position: '100',
    proofAgeMs: 500,
    silenceMs: 1500,
    known: 60,
    sent: 20,
    sentBytes: 20_000,
    sentChanges: 20,
    queuedFrames: 0,
    queuedBytes: 0,
    watches: [{ id: 1, attached: true, awaits: undefined, slotsShown: 3, queuedFrames: 0 }],
    ...over,
  };
}

export function snapshotOver(over: Partial<WorkerSnapshot> = {}): WorkerSnapshot {
  return {
    assignment: assignmentOver(),
    refusal: undefined,
    unconfirmed: undefined,
    dataPlane: dataPlaneStatus(),
    gateway: { state: 'serving', reason: '', open: true },
    scrapers: [],
    readSince: undefined,
    exporter: { state: 'running', since: 1 },
    exporterUnreachableMs: 0,
    exposition: { bytes: 1000, durationMs: 5 },
    memoryBytes: 100,
    mismatch: undefined,
    cost: { bytes: 3000, churn: 10 },
    draining: false,
    terminated: false,
    ...over,
  };
}

export function unavailableKind(kind: string, message: string): UnavailableKind {
  return { kind, cause: 'forbidden', message, since: 5_000 };
}

export function handover(index: number, error?: string): Heartbeat['handovers'][number] {
  return {
    migration: `migration-${String(index).padStart(50, '0')}`,
    role: 'target',
    state: 'warming',
    objects: 1000,
    ...(error === undefined ? {} : { error }),
  };
}
