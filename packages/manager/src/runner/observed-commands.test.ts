import { shardConfigSpecSchema, type ShardInstance } from '@shard-controller/shared/api';
import { describe, expect, it } from 'vitest';
import { defaultSettings, evolve, initialState, type ShardConfigState } from '../aggregate/index.ts';
import type { LogHead } from '../event-log/index.ts';
import { loadMarks, type ShardSources, type WorkerSources } from '../observation/index.ts';
import { heartbeatOf } from '../testing/index.ts';
import { lostLog, recoveryCommand } from './decision-log.ts';
import { isNewConfig, moveEnds, observedCommands, observedConfig, scraperCommands } from './observed-commands.ts';

const identity = { namespace: 'monitoring', name: 'main', uid: 'uid-1' };
const worker = {
  image: 'worker:1',
  serviceAccount: 'worker',
  nats: { url: 'nats://nats:4222', auth: 'none', audience: '' } as const,
  logLevel: 'info',
  fixedUser: true,
};
const config = observedConfig(identity, shardConfigSpecSchema.parse({}), 1, worker);
const accepted = evolve(initialState, { type: 'shard.config.accepted.v1', at: 0, ...config }, 1);
const scaled = evolve(
  accepted,
  { type: 'shard.scaled.v1', at: 0, from: 0, to: 2, trigger: 'initial', reason: 'first' },
  1,
);

const nothing: WorkerSources = {
  worker: undefined,
  ping: 'none',
  listeningSince: 0,
  pod: undefined,
  instanceStatusAt: undefined,
  instanceReadAt: undefined,
};
const silent: ShardSources = { ...nothing, other: nothing };
const heard = (over: Parameters<typeof heartbeatOf>[0], heardAt = 1000): ShardSources => ({
  ...silent,
  worker: {
    heartbeat: heartbeatOf(over),
    load: loadMarks(undefined, heartbeatOf(over), heardAt),
    heardAt,
    unableSince: undefined,
    coldSince: undefined,
    runningSince: heardAt,
    shown: undefined,
  },
});

describe('observedConfig', () => {
  it('is news until the state holds it, and again with every change of what it says', () => {
    expect(isNewConfig(initialState, config)).toBe(true);
    expect(isNewConfig(accepted, config)).toBe(false);
    const spec = shardConfigSpecSchema.parse({ minShards: 3 });
    expect(isNewConfig(accepted, observedConfig(identity, spec, 1, worker))).toBe(true);
    const newer = { ...worker, image: 'worker:2' };
    expect(isNewConfig(accepted, observedConfig(identity, shardConfigSpecSchema.parse({}), 1, newer))).toBe(true);
  });

  it('turns durations into ms and leaves the rest as it is', () => {
    const spec = shardConfigSpecSchema.parse({ healthCheckInterval: '1.5s', handover: { scraperTTL: '1m' } });
    const { settings } = observedConfig(identity, spec, 1, worker);
    expect(settings.health.intervalMs).toBe(1500);
    expect(settings.handover.scraperTtlMs).toBe(60_000);
    expect(settings.failover).toEqual(defaultSettings.failover);
  });
});

describe('observedCommands', () => {
  it('says nothing about what the state knows, and nothing before there is a config', () => {
    expect(observedCommands(scaled, () => silent, 1000)).toEqual([]);
    expect(observedCommands(initialState, () => silent, 1000)).toEqual([]);
  });

  it('reports a worker that is heard for the first time', () => {
    const sources = (shardId: string) => (shardId === 'shard-000' ? heard({ shardId }) : silent);
    expect(observedCommands(scaled, sources, 1100)).toMatchObject([
      {
        type: 'ShardObserved',
        observation: { shardId: 'shard-000', health: 'Healthy', revision: 'r1', draining: false },
      },
    ]);
  });

  it('takes a pod that is being deleted for draining, whatever its worker says', () => {
    const pod = {
      name: 'main-a-0',
      uid: 'u',
      config: 'main',
      shardId: 'shard-000',
      replica: 'a',
      revision: 'r1',
      node: 'n1',
      phase: 'Running',
      ready: true,
      notReadyReason: '',
      deleting: true,
      workerDown: false,
      trouble: undefined,
      createdAt: 0,
    } as const;
    const [command] = observedCommands(scaled, (shardId) => ({ ...heard({ shardId }), pod }), 1100);
    expect(command).toMatchObject({ observation: { draining: true } });
  });

  it('reports a pod that is gone only for shards that are not wanted', () => {
    const gone = (): ShardSources => ({ ...silent, pod: null });
    expect(observedCommands(scaled, gone, 1000)).toEqual([]);
    const down = evolve(scaled, { type: 'shard.scaled.v1', at: 0, from: 2, to: 1, trigger: 'manual', reason: '' }, 2);
    expect(observedCommands(down, gone, 1000)).toEqual([{ type: 'PodGone', shardId: 'shard-001' }]);
  });
});

describe('scraperCommands', () => {
  const inCleanup: ShardConfigState = {
    ...scaled,
    migrations: {
      m1: {
        id: 'm1',
        cause: 'resize',
        source: 'shard-000',
        target: 'shard-001',
        slots: [1],
        step: 'Cleanup',
        committed: false,
        sourceLost: false,
        plannedAt: 0,
        deadline: null,
        acknowledgedAt: 500,
      },
    },
  };
  const scraped = (shardId: string, lastStart: number): ShardSources => {
    const scrapers = [{ id: 'prometheus', lastStart, lastEnd: lastStart + 5 }];
    return heard({ shardId, gateway: { state: 'serving', reason: '', scrapers } });
  };

  const stillHeard = (sources: ShardSources, heardAt: number): ShardSources =>
    sources.worker === undefined ? sources : { ...sources, worker: { ...sources.worker, heardAt } };

  it('waits until the scrapers of the source were at the target after its acknowledgement', () => {
    const at = (time: number) => (shardId: string) => scraped(shardId, shardId === 'shard-001' ? time : 700);
    expect(scraperCommands(inCleanup, at(400), 1000)).toEqual([]);
    expect(scraperCommands(inCleanup, at(600), 1000)).toMatchObject([{ type: 'ScrapersMoved', migration: 'm1' }]);
  });

  it.each(['shard-000', 'shard-001'])('does not go by what %s said before it fell silent', (quiet) => {
    const at = (now: number) => (id: string) => stillHeard(scraped(id, 700), id === quiet ? now - 2_000 : now);
    expect(scraperCommands(inCleanup, at(3_000), 3_000)).toEqual([]);
    expect(scraperCommands(inCleanup, at(3_000), 2_999)).toHaveLength(1);
  });

  it('does not guess when one of the two has not been heard', () => {
    expect(scraperCommands(inCleanup, (id) => (id === 'shard-001' ? silent : scraped(id, 700)), 1000)).toEqual([]);
    expect(scraperCommands(inCleanup, (id) => (id === 'shard-000' ? silent : scraped(id, 700)), 1000)).toEqual([]);
  });

  it('remembers who read a source that was replaced by its standby, for as long as they may still read', () => {
    const standing = { ...silent, worker: heard({ gateway: { state: 'serving', reason: '', scrapers: [] } }).worker };
    const promoted = (shardId: string, target: number): ShardSources =>
      shardId === 'shard-001' ? scraped(shardId, target) : { ...standing, other: scraped(shardId, 700) };
    const commands = (target: number, now: number) =>
      scraperCommands(inCleanup, (id) => stillHeard(promoted(id, target), now), now);
    expect(commands(400, 1000)).toEqual([]);
    expect(commands(600, 1000)).toHaveLength(1);
    expect(commands(400, 1000 + defaultSettings.handover.scraperTtlMs)).toHaveLength(1);
  });

  it('goes by the acknowledgement of the target that serves now, on its own clock', () => {
    const handovers = [
      { migration: 'm1', role: 'target', state: 'acknowledged', objects: 1, acknowledgedAt: 90 },
    ] as const;
    const scrapers = [{ id: 'prometheus', lastStart: 100, lastEnd: 105 }];
    const target = heard({ handovers: [...handovers], gateway: { state: 'serving', reason: '', scrapers } });
    const sources = (id: string): ShardSources => (id === 'shard-001' ? target : scraped(id, 700));
    expect(scraperCommands(inCleanup, sources, 1000)).toHaveLength(1);
  });
});

describe('a shard with a standby', () => {
  const two = [
    {
      type: 'shard.config.accepted.v1' as const,
      at: 0,
      ...config,
      specGeneration: 2,
      settings: { ...config.settings, replicasPerShard: 2 },
    },
    {
      type: 'shard.health.changed.v1' as const,
      at: 0,
      shardId: 'shard-000',
      from: 'Pending' as const,
      to: 'Healthy' as const,
      evidence: [],
    },
  ].reduce((state, event) => evolve(state, event, 2), scaled);
  const standby = (over: Parameters<typeof heartbeatOf>[0] = {}): WorkerSources =>
    heard(
      { replica: 'b', pod: 'main-b-0', epoch: 9, gateway: { state: 'standby', reason: '', scrapers: [] }, ...over },
      9000,
    );

  it('hears that its standby can take over, and nothing else about the worker that is lost', () => {
    const lost: ShardSources = { ...heard({ epoch: 9 }, 8400), ping: 'no-responders', other: standby() };
    const sources = (id: string) => (id === 'shard-000' ? lost : silent);
    expect(observedCommands(two, sources, 9950)).toMatchObject([
      { type: 'StandbyReady', observation: { replica: 'b', active: { lost: true, terminating: false } } },
    ]);
  });

  it('lets its standby take over before a terminating worker is emptied', () => {
    const terminating: ShardSources = { ...heard({ epoch: 9, phase: 'Draining' }, 9800), other: standby() };
    expect(observedCommands(two, (id) => (id === 'shard-000' ? terminating : silent), 9950)).toMatchObject([
      { type: 'StandbyReady', observation: { active: { lost: false, terminating: true } } },
    ]);
  });
});

describe('a log that is read', () => {
  const head = (over: Partial<LogHead<ShardConfigState>>): LogHead<ShardConfigState> => ({
    state: initialState,
    sequence: 0,
    lastSequence: 0,
    generation: 0,
    at: 0,
    decisions: 0,
    lastId: '',
    skipped: 0,
    created: 'c1',
    writtenUnder: undefined,
    ...over,
  });
  const instance = (generation: number, epoch: number, uid = 'uid-1'): ShardInstance => ({
    apiVersion: 'shard.io/v1',
    kind: 'ShardInstance',
    metadata: { name: 'main-shard-000', namespace: 'monitoring', uid: 'i', resourceVersion: '1' },
    spec: {
      shardConfigRef: { name: 'main', uid },
      shardId: 'shard-000',
      generation,
      epoch,
      slotCount: 256,
      shardBy: 'uid',
      hashRanges: [{ start: 0, end: 33554431 }],
      warmRanges: [],
      releaseRanges: [{ start: 33554432, end: 50331647, migration: 'm1' }],
    },
  });

  const rebuilt = (found: LogHead<ShardConfigState>, instances: readonly ShardInstance[], of?: typeof config) => {
    const lost = lostLog(found, 'uid-1', instances);
    return lost === undefined ? undefined : recoveryCommand(lost, of);
  };

  it('is left alone when it is new or complete', () => {
    expect(rebuilt(head({}), [], config)).toBeUndefined();
    const complete = head({ lastSequence: 9, generation: 1, writtenUnder: 'c1' });
    expect(rebuilt(complete, [instance(1, 9)])).toBeUndefined();
  });

  it('is not taken for a new one because the spec is not valid at the moment', () => {
    expect(() => rebuilt(head({}), [instance(3, 70)], undefined)).toThrow(
      expect.objectContaining({
        code: 'SC_LOG_LOST',
        message: expect.stringContaining('once the ShardConfig is valid'),
      }),
    );
  });

  it('is rebuilt when it is lost or behind from what the ShardInstances own and release', () => {
    expect(rebuilt(head({}), [instance(3, 70)], config)).toMatchObject({
      type: 'LogLost',
      generation: 4,
      instances: [{ active: 'a', shardId: 'shard-000', generation: 3, epoch: 70, owned: [0, 1], releasing: [2] }],
    });
    const behind = head({ lastSequence: 8, generation: 1, writtenUnder: 'c1' });
    expect(rebuilt(behind, [instance(1, 9)], config)).toMatchObject({ generation: 2 });
  });

  it('has nothing to do with ShardInstances of an earlier ShardConfig of the same name', () => {
    expect(rebuilt(head({}), [instance(3, 70, 'uid-of-before')], config)).toBeUndefined();
  });
});

describe('moveEnds', () => {
  const moved = { type: 'ScrapersMoved', migration: 'm1', detail: 'all 2 scrapers moved' } as const;
  const verified = (equal: boolean) =>
    ({ type: 'VerificationFinished', migration: 'm1', equal, detail: equal ? 'same' : 'differs' }) as const;

  it('tells of moved scrapers once the two sides were found equal after that, or of what differs', () => {
    expect(moveEnds([moved], [])).toEqual([]);
    expect(moveEnds([moved], [verified(true)])).toEqual([moved]);
    expect(moveEnds([moved], [verified(false)])).toEqual([verified(false)]);
  });
});
