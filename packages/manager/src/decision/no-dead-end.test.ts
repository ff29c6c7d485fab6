import { describe, expect, it } from 'vitest';
import {
  evolve,
  initialState,
  recoverShards,
  type Settings,
  type ShardConfigState,
  shardIdOf,
  type ShardInstanceClaim,
} from '../aggregate/index.ts';
import { brokenInvariants } from './testing/invariants.ts';
import { Simulation, testSettings } from './testing/simulation.ts';

const [S0, S1, S2, S3] = [shardIdOf(0), shardIdOf(1), shardIdOf(2), shardIdOf(3)];

function settledWorld(settings: Partial<Settings> = {}): Simulation {
  let served = false;
  const world = new Simulation({
    settings: { ...testSettings, ...settings },
    onDecision: (w) => {
      const gaps = w.gaps();
      served ||= gaps.length === 0 && w.state.owners.length > 0;
      expect(brokenInvariants(w.state)).toEqual([]);
      expect(served && w.lostNodes.size === 0 ? gaps : []).toEqual([]);
    },
  });
  return settled(world);
}

function settled(w: Simulation): Simulation {
  if (w.settle() === undefined) throw new Error(`not settled; last decision: ${JSON.stringify(w.state.lastDecision)}`);
  return w;
}

const foldOf = (w: Simulation): ShardConfigState =>
  w.log.reduce((state, { event, sequence }) => evolve(state, event, sequence), initialState);

describe('a migration that is committed', () => {
  it('does not stay open for a source that never releases, which still has to', () => {
    const w = settledWorld();
    w.configure({ shards: 3 });
    w.holdAt = 'Releasing';
    w.run(10);
    expect(Object.values(w.state.migrations).map(({ committed }) => committed)).toEqual([true, true]);
    w.run(150);
    expect(w.state.migrations).toEqual({});
    expect([S0, S1].map((shardId) => w.state.shards[shardId]?.stale?.slots.length)).toEqual([10, 11]);
    w.holdAt = undefined;
    w.run(5);
    expect(w.doubled()).toEqual([]);
    settled(w);
  });

  it('does not keep a shard that should not exist, and that is no longer heard', () => {
    const w = settledWorld({ shards: 4 });
    w.holdAt = 'Releasing';
    w.configure({ shards: 3 });
    w.run(10);
    // Its worker restarts; the next manager has never heard it.
    w.send({
      type: 'ShardObserved',
      observation: {
        shardId: S3,
        health: 'Starting',
        evidence: [],
        revision: '',
        draining: false,
        generation: 0,
        epoch: 0,
      },
    });
    const pod = w.pods.get(S3);
    if (pod !== undefined) pod.starting = 1_000_000;
    w.holdAt = undefined;
    w.run(150);
    expect(w.state.shards[S3]).toBeUndefined();
    settled(w);
  });
});

describe('a verified migration', () => {
  it('is not committed by the longest overlap to a target that is not heard', () => {
    const w = settledWorld();
    w.configure({ shards: 3 });
    w.holdAt = 'Cleanup';
    w.run(10);
    w.send({
      type: 'ShardObserved',
      observation: {
        shardId: S2,
        health: 'Suspect',
        evidence: ['silent'],
        revision: '',
        draining: false,
        generation: 1,
        epoch: 0,
      },
    });
    expect(w.state.shards[S2]?.health).toBe('Suspect');
    w.now += testSettings.handover.maxOverlapMs;
    w.send({ type: 'Tick' });
    expect(w.events('shard.migration.committed.v1')).toEqual([]);
    expect(w.events('shard.migration.rolledback.v1').map(({ step }) => step)).toEqual(['Cleanup', 'Cleanup']);
    w.holdAt = undefined;
    settled(w);
  });
});

describe('a template', () => {
  it('that changed while the log was lost deletes no worker that may be serving', () => {
    const w = settledWorld();
    w.configure({}, 'r2');
    w.loseLog();
    expect(w.state.revision).toBe('r2');
    w.run(1);
    expect([...w.pods.values()].map(({ revision }) => revision)).toEqual([
      'r1',
      'r1',
      ...(w.pods.size > 2 ? ['r2'] : []),
    ]);
    settled(w);
  });

  it('that is fixed replaces workers that all failed with the broken one', () => {
    const w = settled(new Simulation({ settings: testSettings }));
    w.configure({ mode: 'Paused' }, 'broken');
    w.startTicks = 1_000_000;
    for (const shardId of [S0, S1]) w.kill(shardId);
    w.run(20);
    expect(Object.values(w.state.shards).map(({ health }) => health)).toEqual(['Failed', 'Failed']);
    w.startTicks = 2;
    w.configure({ mode: 'Manual' }, 'fixed');
    settled(w);
  });
});

describe('a rolling update', () => {
  it.each([2, 8, 14])(
    'does not wait for a node that is lost %i s after its start, nor does a scale-down',
    (seconds) => {
      const w = settledWorld({ shards: 3 });
      w.configure({}, 'r2');
      w.run(seconds);
      w.lostNodes.add(S0);
      w.kill(S0);
      w.run(200);
      expect(w.state.rollout).toBeNull();
      expect([S1, S2].map((shardId) => w.state.shards[shardId]?.revision)).toEqual(['r2', 'r2']);
      w.configure({ shards: 2 });
      w.run(100);
      expect(Object.keys(w.state.shards)).toEqual([S0, S1]);
      expect(w.gaps()).toEqual([]);
      w.lostNodes.clear();
      settled(w);
    },
  );
});

describe('a log that is rebuilt', () => {
  const claim = (shardId: string, over: Partial<ShardInstanceClaim>): ShardInstanceClaim => ({
    shardId,
    generation: 1,
    epoch: 5,
    active: 'a',
    owned: [],
    releasing: [],
    keeping: [],
    ...over,
  });

  it.each([
    ['no ShardInstance is left', []],
    ['one between is missing', [claim(S0, { owned: [0] }), claim(S2, { owned: [1] })]],
  ])('has every wanted shard, though %s', (_, instances) => {
    const w = new Simulation({ settings: { ...testSettings, mode: 'Auto', minShards: 1 } });
    w.send({ type: 'LogLost', config: w.observedConfig(), generation: 2, instances, reason: 'lost' });
    expect(Object.keys(w.state.shards)).toHaveLength(w.state.desiredShards);
    w.run(120);
    expect(w.gaps()).toEqual([]);
    expect(foldOf(w)).toEqual(w.state);
  });

  it('leaves a slot with the shard that was told to release it, when nobody was told to own it', () => {
    const recovered = recoverShards([
      claim(S0, { epoch: 9, owned: [0], releasing: [1, 2] }),
      claim(S1, { epoch: 8, owned: [2, 3] }),
    ]);
    expect(recovered).toEqual([
      { shardId: S0, owned: [0, 1], stale: [2], active: 'a' },
      { shardId: S1, owned: [2, 3], stale: [], active: 'a' },
    ]);
  });
});

describe('texts of a decision', () => {
  it('are cut, so that many failed shards do not keep it from being stored', () => {
    const settings = { ...testSettings, slotCount: 256, shards: 150, maxShards: 150, capacity: { objects: 10 } };
    const w = new Simulation({ settings });
    expect(w.settle()).toBeDefined();
    for (let ordinal = 20; ordinal < 150; ordinal++) {
      w.lostNodes.add(shardIdOf(ordinal));
      w.kill(shardIdOf(ordinal));
    }
    w.run(80);
    expect(w.events('shard.failover.held.v1').length).toBeGreaterThan(0);
    const longest = Math.max(...w.log.map(({ event }) => ('reason' in event ? event.reason.length : 0)));
    expect(longest).toBe(500);
    expect(w.gaps()).toEqual([]);
  });
});
