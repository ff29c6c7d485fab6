import { heartbeatSchema } from '@shard-controller/shared/contracts';
import { MAX_MESSAGE_BYTES } from '@shard-controller/shared/nats';
import { ManualClock } from '@shard-controller/shared/testing';
import { describe, expect, it } from 'vitest';
import { dataPlaneStatus, handover, identity, snapshotOver, unavailableKind } from '../testing/fixtures.ts';
import { HeartbeatSource } from './heartbeat-source.ts';
import { loadRatio } from './load-ratio.ts';
import { ShardConditions } from './shard-conditions.ts';
import { statusObject, statusSignature, unavailableIn } from './shard-instance-status.ts';
import type { WorkerSnapshot } from './worker-snapshot.ts';

function beat(over: Partial<WorkerSnapshot> = {}) {
  return new HeartbeatSource(identity, () => snapshotOver(over), new ManualClock()).next();
}

describe('a heartbeat', () => {
  it('is what the manager expects, and numbered', () => {
    const source = new HeartbeatSource(identity, () => snapshotOver(), new ManualClock());
    expect(heartbeatSchema.parse(source.next())).toMatchObject({
      sequence: 1,
      shardId: 'shard-001',
      phase: 'Running',
      generation: 1,
      epoch: 10,
      slots: { assigned: 3, acknowledged: 3, shown: 3 },
      load: { objects: 30, expositionBytes: 1000, objectsByResource: { pods: 20 } },
    });
    expect(source.peek().sequence).toBe(1);
    expect(source.next().sequence).toBe(2);
  });

  it('is valid before there is anything to tell', () => {
    const empty = beat({
      assignment: undefined,
      dataPlane: dataPlaneStatus({
        feeds: { synced: 0, total: 0, oldestProofMs: Infinity },
        slots: { assigned: 0, acknowledged: 0, shown: 0 },
        warm: false,
      }),
      exporter: { state: 'starting', since: 1 },
      gateway: { state: 'warming', reason: 'x'.repeat(900), open: false },
    });
    expect(heartbeatSchema.parse(JSON.parse(JSON.stringify(empty)))).toMatchObject({
      phase: 'Pending',
      generation: 0,
      epoch: 0,
    });
  });

  it('tells what is wrong although everything looks well, and nothing otherwise', () => {
    expect(beat()).not.toHaveProperty('note');
    const wrong = beat({ dataPlane: dataPlaneStatus({ staleFeeds: ['/api/v1/pods'] }), mismatch: 'x'.repeat(900) });
    expect(heartbeatSchema.parse(wrong).note).toMatch(
      /^no sign of progress from the API server for \/api\/v1\/pods.*; x+$/,
    );
    expect(beat().load).toMatchObject({ objectBytes: 3000, churnBytesPerSecond: 10 });
  });

  it('says that the exporter starts over, and only then', () => {
    const startsOver = beat({ gateway: { state: 'warming', reason: 'opening', open: false, startsOver: true } });
    expect(heartbeatSchema.parse(startsOver).gateway.startsOver).toBe(true);
    expect(beat().gateway).not.toHaveProperty('startsOver');
  });

  it('names kinds that cannot be read, the first of them, and keeps what is to be done', () => {
    expect(beat()).not.toHaveProperty('unavailable');
    const long = `${'said '.repeat(200)}Remedy: grant get`;
    const kinds = Array.from({ length: 20 }, (_, i) => unavailableKind(`kind${i}`, long));
    const { unavailable } = heartbeatSchema.parse(beat({ dataPlane: dataPlaneStatus({ unavailable: kinds }) }));
    expect([unavailable?.total, unavailable?.kinds.length]).toEqual([20, 16]);
    expect(unavailable?.kinds[0]?.message).toMatch(/^said said .* … .*Remedy: grant get$/);
  });

  it('reports a refusal', () => {
    const refusal = { generation: 1, epoch: 12, reason: 'slot 3 is in two lists' };
    expect(beat({ refusal }).refused).toEqual(refusal);
  });

  it('fits into a message whatever there is to tell, without losing the state of a handover', () => {
    const handovers = Array.from({ length: 256 }, (_, i) => handover(i, 'e'.repeat(500)));
    const objectsByResource = Object.fromEntries(
      Array.from({ length: 300 }, (_, i) => [`${'r'.repeat(130)}${i}`, 1000]),
    );
    const unavailable = Array.from({ length: 600 }, (_, i) =>
      unavailableKind(`${'k'.repeat(130)}${i}`, 'm'.repeat(900)),
    );
    const heartbeat = beat({ dataPlane: dataPlaneStatus({ handovers, objectsByResource, unavailable }) });
    expect(Buffer.byteLength(JSON.stringify(heartbeat))).toBeLessThanOrEqual(MAX_MESSAGE_BYTES);
    expect(heartbeatSchema.parse(heartbeat).handovers.map(({ state }) => state)).toHaveLength(256);
    // The counts of the kinds go last, and those of most objects last of all.
    const kinds = Object.fromEntries(Array.from({ length: 600 }, (_, i) => [`${'r'.repeat(100)}${i}`, i]));
    const many = beat({ dataPlane: dataPlaneStatus({ objectsByResource: kinds }) }).load.objectsByResource;
    expect(Object.values(many)).toHaveLength(100);
    expect(Math.min(...Object.values(many))).toBe(500);
  });

  it('fits where everything is as long as it may be', () => {
    const long = '€'.repeat(500);
    const handovers = Array.from({ length: 256 }, (_, i) => ({
      ...handover(i, long),
      migration: `${'m'.repeat(60)}${i}`.slice(-63),
    }));
    const scrapers = Array.from({ length: 64 }, (_, i) => ({
      id: `${i}${'€'.repeat(190)}`,
      lastStart: 1.5,
      lastEnd: 2.5,
    }));
    const objectsByResource = Object.fromEntries(
      Array.from({ length: 600 }, (_, i) => [`${i}${'r'.repeat(110)}`, 1e9]),
    );
    const heartbeat = beat({
      dataPlane: dataPlaneStatus({ handovers, objectsByResource, staleFeeds: [long] }),
      scrapers,
      mismatch: long,
    });
    expect(Buffer.byteLength(JSON.stringify(heartbeat))).toBeLessThanOrEqual(MAX_MESSAGE_BYTES);
    expect(heartbeatSchema.parse(heartbeat).handovers.length).toBeGreaterThanOrEqual(128);
  });
});

describe('the status of the ShardInstance', () => {
  it('has the own entry, and the top-level fields for the active replica only', () => {
    const active = statusObject(identity, beat(), 0.5, true, new ShardConditions().of(beat()));
    expect(active.metadata).toEqual({ name: 'main-shard-001', namespace: 'monitoring' });
    expect(active.status).toMatchObject({
      phase: 'Running',
      load: 0.5,
      assignedResources: ['configmaps: 10', 'pods: 20'],
      conditions: [{ type: 'Degraded', status: 'False' }],
      replicas: [{ replica: 'a', pod: 'main-a-1', phase: 'Running', epoch: 10, gateway: 'serving' }],
    });
    const standby = statusObject({ ...identity, replica: 'b' }, beat(), 0.5, false, []);
    expect(Object.keys(standby.status)).toEqual(['replicas']);
  });

  it('says which kinds cannot be read, in a form that the next process reads again', () => {
    const kinds = [unavailableKind('pods', 'pods is forbidden')];
    const heartbeat = beat({ dataPlane: dataPlaneStatus({ unavailable: kinds }) });
    const { status } = statusObject(identity, heartbeat, undefined, true, new ShardConditions().of(heartbeat));
    expect(status.replicas?.[0]?.unavailable).toMatchObject([{ kind: 'pods', since: '1970-01-01T00:00:05.000Z' }]);
    expect(unavailableIn(status.replicas?.[0])).toEqual(kinds);
    expect(unavailableIn(undefined)).toEqual([]);
    expect(statusSignature(heartbeat)).not.toBe(statusSignature(beat()));
  });

  it('is written at once when the phase, the epoch or a handover changes, and not for a mere figure', () => {
    const before = statusSignature(beat());
    expect(statusSignature(beat({ memoryBytes: 5, exposition: { bytes: 9, durationMs: 9 } }))).toBe(before);
    expect(statusSignature(beat({ draining: true }))).not.toBe(before);
    expect(statusSignature(beat({ dataPlane: dataPlaneStatus({ handovers: [handover(1)] }) }))).not.toBe(before);
  });
});

describe('the load of a shard', () => {
  const load = beat().load;
  const none = {
    objects: undefined,
    expositionBytes: undefined,
    memoryBytes: undefined,
    scrapeDurationMs: undefined,
    queueDepth: undefined,
  };

  it('is the largest ratio', () => {
    expect(loadRatio(load, { ...none, objects: 60, expositionBytes: 1250 })).toBe(0.8);
    expect(loadRatio(load, { ...none, objects: 20, expositionBytes: 1250 })).toBe(1.5);
  });

  it('is unknown without a capacity', () => {
    expect(loadRatio(load, none)).toBeUndefined();
  });
});
