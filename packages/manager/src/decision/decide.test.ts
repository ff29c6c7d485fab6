import { describe, expect, it } from 'vitest';
import { defaultSettings, initialState, type Settings, shardIdOf, SURGE } from '../aggregate/index.ts';
import { decide } from './decide.ts';
import { desired } from './desired.ts';
import { describeStatus } from './status.ts';
import { brokenInvariants } from './testing/invariants.ts';
import { Simulation, testSettings } from './testing/simulation.ts';

const [S0, S1, S2] = [shardIdOf(0), shardIdOf(1), shardIdOf(2)];

/** A world whose every decision is checked: the state is sound, and no slot is left without a pod that exposes it. */
function worldWithoutGaps(settings: Partial<Settings> = {}): Simulation {
  let served = false;
  return new Simulation({
    settings: { ...testSettings, ...settings },
    onDecision: (world) => {
      const gaps = world.gaps();
      served ||= gaps.length === 0 && world.state.owners.length > 0;
      expect(brokenInvariants(world.state)).toEqual([]);
      expect(served ? gaps : []).toEqual([]);
    },
  });
}

const world = (settings: Partial<Settings> = {}): Simulation =>
  settled(new Simulation({ settings: { ...testSettings, ...settings } }));

function settled(w: Simulation): Simulation {
  if (w.settle() === undefined) throw new Error(`not settled; last decision: ${JSON.stringify(w.state.lastDecision)}`);
  return w;
}

const slotsOf = (w: Simulation, shardId: string): number => w.state.owners.filter((owner) => owner === shardId).length;

const plannedSlots = (w: Simulation): number[] =>
  w.events('shard.migration.planned.v1').flatMap((event) => event.slots);

describe('planned changes', () => {
  it('starts without migrations and ends balanced', () => {
    const w = settled(worldWithoutGaps());
    expect(plannedSlots(w)).toEqual([]);
    expect(w.state.desiredShards).toBe(2);
  });

  it('scales out by moving the minimum of slots', () => {
    const w = settled(worldWithoutGaps());
    w.configure({ shards: 4 });
    settled(w);
    expect(plannedSlots(w)).toHaveLength(32);
    expect(new Set(w.events('shard.migration.planned.v1').map((event) => event.cause))).toEqual(new Set(['resize']));
  });

  it('waits for all new shards, so that no slot moves twice, but not for ever', () => {
    const w = settled(worldWithoutGaps());
    w.lostNodes.add(shardIdOf(3));
    w.configure({ shards: 4 });
    w.run(50);
    expect(plannedSlots(w)).toEqual([]);
    w.run(30);
    expect(slotsOf(w, S2)).toBe(21);
  });

  it('scales in from the highest shard, and removes its pod when it exposes nothing', () => {
    const w = settled(worldWithoutGaps());
    w.configure({ shards: 4 });
    settled(w);
    w.configure({ shards: 3 });
    settled(w);
    expect(Object.keys(w.state.shards)).toEqual([S0, S1, S2]);
    expect(w.events('shard.removed.v1').map((event) => event.shardId)).toEqual([shardIdOf(3)]);
  });

  it.each([1, 2, 3])(
    'rolls %i workers without a gap, moving each slot once and those of the smallest twice',
    (shards) => {
      const w = settled(worldWithoutGaps({ shards }));
      const fewest = Math.min(...Object.keys(w.state.shards).map((shardId) => slotsOf(w, shardId)));
      w.configure({}, 'r2');
      settled(w);
      expect(w.events('shard.migration.planned.v1').map((event) => event.cause)).toEqual(
        Array.from({ length: shards + 1 }, () => 'rollout'),
      );
      expect(plannedSlots(w)).toHaveLength(64 + fewest);
      expect([...w.pods.values()].every((pod) => pod.revision === 'r2')).toBe(true);
    },
  );

  it('begins a rolling update with the smallest shard, of equals the lowest', () => {
    const w = settled(worldWithoutGaps({ shards: 3, slotCount: 256 }));
    expect([S0, S1, S2].map((shardId) => slotsOf(w, shardId))).toEqual([86, 85, 85]);
    w.configure({}, 'r2');
    settled(w);
    expect(plannedSlots(w)).toHaveLength(256 + 85);
    const [first] = w.events('shard.migration.planned.v1');
    expect([first?.source, first?.target]).toEqual([S1, SURGE]);
  });

  it('drains a terminating worker before it is gone', () => {
    const w = settled(worldWithoutGaps({ shards: 3 }));
    w.terminate(S1);
    settled(w);
    const causes = w.events('shard.migration.planned.v1').map((event) => event.cause);
    expect(new Set(causes)).toEqual(new Set(['drain', 'recovery']));
  });

  it('runs no more migrations at a time than it may', () => {
    const most: number[] = [];
    const w = new Simulation({
      settings: { ...testSettings, rebalance: { maxConcurrentMigrations: 2 } },
      onDecision: ({ state }) =>
        most.push(Object.values(state.migrations).filter((m) => m.step !== 'Planning' && !m.committed).length),
    });
    settled(w).configure({ shards: 6 });
    settled(w);
    expect(Math.max(...most)).toBe(2);
  });

  it('tells a shard nothing when nothing changes for it', () => {
    const w = world({ shards: 3 });
    const before = desired(w.state).assignments;
    w.run(20);
    w.send({ type: 'ShardObserved', observation: { ...seen('Suspect'), shardId: S1 } });
    w.settle();
    expect(desired(w.state).assignments).toEqual(before);
  });
});

const seen = (health: 'Suspect' | 'Failed') => ({
  shardId: S0,
  health,
  evidence: [],
  revision: 'r1',
  draining: false,
  generation: 1,
  epoch: 1,
});

describe('roll-back', () => {
  it.each(['fail', 'omit-one'] as const)('leaves the source serving when the target does: %s', (fault) => {
    const w = settled(worldWithoutGaps());
    w.faults.set(S2, fault);
    w.configure({ shards: 3 });
    w.run(5);
    expect(w.events('shard.migration.rolledback.v1')).toHaveLength(1);
    settled(w);
  });

  it.each(['Preparation', 'Transfer', 'Verification'] as const)('gives up a migration that hangs in %s', (step) => {
    const w = settled(worldWithoutGaps());
    w.holdAt = step;
    w.configure({ shards: 3 });
    w.run(140);
    expect(new Set(w.events('shard.migration.rolledback.v1').map((event) => event.step))).toEqual(new Set([step]));
    expect(slotsOf(w, S2)).toBe(0);
  });

  it('waits longer after each failure, and not at all after a success', () => {
    const w = settled(worldWithoutGaps({ shards: 1 }));
    w.configure({ shards: 2 });
    for (let i = 0; i < 40; i++) {
      w.faults.set(S1, 'fail');
      w.tick();
    }
    const waits = w.events('shard.migration.rolledback.v1').map((event) => event.retryAt - event.at);
    expect(waits.slice(0, 3)).toEqual([5_000, 10_000, 20_000]);
    w.faults.clear();
    settled(w);
    expect(w.state.backoffs).toEqual({});
  });

  it('releases after the longest overlap even if a scraper never comes, and says so', () => {
    const w = settled(worldWithoutGaps());
    w.holdAt = 'Cleanup';
    w.configure({ shards: 3 });
    w.run(110);
    expect(w.events('shard.migration.committed.v1')).toEqual([]);
    w.run(20);
    expect(new Set(w.events('shard.migration.committed.v1').map((event) => event.because))).toEqual(
      new Set(['overlap-expired']),
    );
  });
});

describe('failover', () => {
  it('gives the slots of a lost shard to the others at once, and back when it has returned', () => {
    const w = world({ shards: 3 });
    w.lostNodes.add(S0);
    w.kill(S0);
    w.run(4);
    expect(slotsOf(w, S0)).toBe(0);
    expect(w.spread()).toBe(32);
    expect(plannedSlots(w)).toEqual([]);
    w.lostNodes.clear();
    settled(w);
    expect(new Set(w.events('shard.migration.planned.v1').map((event) => event.cause))).toEqual(new Set(['recovery']));
  });

  it('takes no series away when a shard is wrongly believed lost: they are doubled until the new owners show them', () => {
    const w = world({ shards: 3 });
    w.misjudged.add(S0);
    const gaps: number[] = [];
    let doubled = 0;
    for (let i = 0; i < 30; i++) {
      w.tick();
      gaps.push(...w.gaps());
      doubled = Math.max(doubled, w.doubled().length);
    }
    expect(w.state.shards[S0]?.health).toBe('Failed');
    expect(slotsOf(w, S0)).toBe(0);
    expect(gaps).toEqual([]);
    expect(doubled).toBeGreaterThan(0);
    w.misjudged.clear();
    settled(w);
    expect(w.doubled()).toEqual([]);
  });

  it('makes a shard that was only frozen release what it lost before it gets anything', () => {
    const w = world();
    const told = () => desired(w.state).assignments.find((a) => a.shardId === S0);
    w.freeze(S0);
    w.run(5);
    expect(w.state.shards[S0]?.stale?.slots).toHaveLength(32);
    expect(told()?.releaseRanges).toEqual([]);
    expect(told()?.keepRanges).toHaveLength(1);
    w.run(2);
    expect(told()?.releaseRanges).toHaveLength(1);
    expect(told()?.keepRanges).toBeUndefined();
    w.freeze(S0, false);
    settled(w);
    expect(w.doubled()).toEqual([]);
  });

  it.each(['Preparation', 'Transfer', 'Verification', 'Cleanup'] as const)(
    'makes the target responsible when the source dies in %s, without moving those slots again',
    (step) => {
      const w = world({ shards: 1 });
      w.configure({ shards: 2 });
      w.holdAt = step;
      w.run(5);
      w.lostNodes.add(S0);
      w.kill(S0);
      w.run(6);
      expect(w.events('shard.migration.committed.v1').map((event) => event.because)).toEqual(['source-lost']);
      expect(slotsOf(w, S1)).toBe(64);
    },
  );

  it('rolls back when the target dies, and the source never stops serving', () => {
    const w = settled(worldWithoutGaps({ shards: 1 }));
    w.configure({ shards: 2 });
    w.holdAt = 'Cleanup';
    w.run(5);
    w.lostNodes.add(S1);
    w.kill(S1);
    w.run(6);
    expect(w.events('shard.migration.rolledback.v1').map((event) => event.step)).toEqual(['Cleanup']);
    expect(slotsOf(w, S0)).toBe(64);
  });

  it('does not take the restart of a shard without slots for a failure', () => {
    const w = world({ shards: 2 });
    w.configure({ shards: 3 });
    w.holdAt = 'Preparation';
    w.startTicks = 20;
    w.run(10);
    expect(w.events('shard.health.changed.v1').filter((event) => event.to === 'Failed')).toEqual([]);
  });

  it('goes on while paused, when nothing else does', () => {
    const w = world({ shards: 2 });
    w.configure({ mode: 'Paused', shards: 5 }, 'r2');
    w.run(5);
    expect([w.state.desiredShards, w.state.rollout]).toEqual([2, null]);
    w.kill(S0);
    w.lostNodes.add(S0);
    w.run(5);
    expect(slotsOf(w, S1)).toBe(64);
  });
});

describe('mass failure', () => {
  const loseTwoOfThree = (w: Simulation): void => {
    for (const shardId of [S1, S2]) {
      w.lostNodes.add(shardId);
      w.kill(shardId);
    }
    w.run(5);
  };

  it('holds the rest of the failover back until time is up, and says why', () => {
    const w = world({ shards: 3, capacity: { objects: 250 } });
    loseTwoOfThree(w);
    const held = w.events('shard.failover.held.v1');
    expect(held.map((event) => [event.shards, event.until - event.at])).toEqual([[[S2], 60_000]]);
    expect(describeStatus(w.state, { now: w.now, objects: w.objects() }).conditions).toContainEqual(
      expect.objectContaining({ type: 'Degraded', status: 'True', reason: 'MassFailure' }),
    );
    w.run(50);
    expect(slotsOf(w, S2)).toBeGreaterThan(0);
    w.run(15);
    expect(slotsOf(w, S0)).toBe(64);
  });

  it('does not wait when the others have room', () => {
    const w = world({ shards: 3, capacity: { objects: 1_000_000 } });
    loseTwoOfThree(w);
    expect(slotsOf(w, S0)).toBe(64);
  });

  it('moves nothing when the shards come back in time', () => {
    const w = world({ shards: 3, capacity: { objects: 250 } });
    for (const shardId of [S0, S1, S2]) w.freeze(shardId);
    w.run(6);
    for (const shardId of [S0, S1, S2]) w.freeze(shardId, false);
    settled(w);
    expect(w.events('shard.slots.assigned.v1').filter((event) => event.cause === 'failover')).toEqual([]);
  });
});

describe('start', () => {
  it('waits for all shards, but not for ever', () => {
    const w = new Simulation({ settings: { ...testSettings, shards: 3 } });
    w.lostNodes.add(S2);
    w.run(30);
    expect(slotsOf(w, S0)).toBe(0);
    w.run(40);
    expect([slotsOf(w, S0), slotsOf(w, S1)]).toEqual([32, 32]);
  });

  it('leaves slots with a starting owner for the grace, shorter when the others have room', () => {
    const afterRestart = (objects: number, ticks: number): number => {
      const w = world({ capacity: { objects } });
      w.unable.add(S0);
      w.run(ticks);
      return slotsOf(w, S0);
    };
    expect([afterRestart(1_000_000, 9), afterRestart(1_000_000, 13)]).toEqual([32, 0]);
    expect([afterRestart(400, 55), afterRestart(400, 64)]).toEqual([32, 0]);
  });
});

describe('scaling by load', () => {
  const auto: Partial<Settings> = {
    mode: 'Auto',
    minShards: 2,
    maxShards: 5,
    capacity: { objects: 320 },
    scaling: { ...defaultSettings.scaling, sustainedMs: 20_000, scaleUpCooldownMs: 5_000, scaleDownCooldownMs: 40_000 },
  };

  it('adds shards when the load has been high for long enough, and explains the wait', () => {
    const w = world(auto);
    w.run(10);
    expect(w.state.desiredShards).toBe(2);
    expect(describeStatus(w.state, { now: w.now, objects: w.objects() }).holds).toEqual([
      { what: 'scaling', reason: 'load is above its threshold: it must last until 00:17:05Z', rests: false },
    ]);
    w.run(15);
    expect(w.state.desiredShards).toBe(3);
    expect(w.events('shard.scaled.v1').at(-1)).toMatchObject({ from: 2, to: 3, trigger: 'load', load: 1 });
  });

  it('forgets a short peak', () => {
    const w = world(auto);
    w.run(10);
    w.objectsPerSlot = 5;
    w.run(5);
    w.objectsPerSlot = 10;
    w.run(15);
    expect(w.state.desiredShards).toBe(2);
  });

  it('removes shards after the cooldown, but not below minShards', () => {
    const w = world(auto);
    w.run(40);
    w.objectsPerSlot = 1;
    w.run(200);
    expect(w.state.desiredShards).toBe(2);
    expect(w.pods.size).toBe(2);
  });

  it('stops at maxShards and says so', () => {
    const w = world({ ...auto, maxShards: 2 });
    w.run(40);
    const { conditions, holds } = describeStatus(w.state, { now: w.now, objects: w.objects() });
    expect(w.state.desiredShards).toBe(2);
    expect(holds).toEqual([{ what: 'scaling', reason: 'load is above its threshold: maxShards is 2', rests: true }]);
    expect(conditions).toContainEqual(expect.objectContaining({ type: 'ScalingLimited', reason: 'AtMaximum' }));
  });

  it('lets bounds win over a told number', () => {
    const w = world({ shards: 40, maxShards: 3 });
    expect(w.state.desiredShards).toBe(3);
  });
});

describe('repair', () => {
  it('lets a fixed template replace workers that never started with the broken one', () => {
    const w = new Simulation({ settings: testSettings });
    w.startTicks = 1_000_000;
    w.run(10);
    w.startTicks = 2;
    w.configure({}, 'r2');
    expect([...settled(w).pods.values()].map((pod) => pod.revision)).toEqual(['r2', 'r2']);
  });

  it('gets out of a rolling update whose template is broken by a fixed one', () => {
    const w = settled(worldWithoutGaps());
    w.startTicks = 1_000_000;
    w.configure({}, 'broken');
    w.run(30);
    w.startTicks = 2;
    w.configure({}, 'fixed');
    expect([...settled(w).pods.values()].map((pod) => pod.revision)).toEqual(['fixed', 'fixed']);
  });

  it('rebuilds owners from the ShardInstances when the log is lost, under a higher generation', () => {
    const w = settled(worldWithoutGaps());
    const owners = w.state.owners;
    w.loseLog();
    expect(w.state.owners).toEqual(owners);
    expect(w.state.generation).toBe(2);
    settled(w);
    expect(w.state.owners).toEqual(owners);
  });
});

describe('rejections', () => {
  it('names the table and the reason, and changes nothing', () => {
    const w = world();
    const context = { now: w.now, objects: {} };
    expect(decide(w.state, { ...context, type: 'PodGone', shardId: S0 })).toEqual({
      kind: 'rejected',
      machine: 'health-monitor',
      reason: 'POD_GONE changes nothing for shard-000, Healthy',
    });
    expect(decide(w.state, { ...context, type: 'ScrapersMoved', migration: 'g1-m99', detail: '' })).toMatchObject({
      kind: 'rejected',
      reason: 'no migration g1-m99 is open',
    });
    expect(decide(initialState, { ...context, type: 'ConfigDeleted' }).kind).toBe('rejected');
  });

  it('refuses an unknown strategy in words that name the known ones, and keeps the old spec in force', () => {
    const w = world();
    w.configure({ strategy: 'by-moon-phase', shards: 5 });
    expect(w.events('shard.config.rejected.v1').map((event) => event.problems)).toEqual([
      ['spec.loadBalanceStrategy "by-moon-phase" is unknown; use one of consistent-hash, round-robin, least-loaded'],
    ]);
    expect(w.state.desiredShards).toBe(2);
    expect(describeStatus(w.state, { now: w.now, objects: {} }).conditions).toContainEqual(
      expect.objectContaining({ type: 'Degraded', status: 'True', reason: 'InvalidSpec' }),
    );
  });

  it('refuses a change of the slot count', () => {
    const w = world();
    w.configure({ slotCount: 128 });
    expect(w.events('shard.config.rejected.v1').map((event) => event.problems)).toEqual([
      ['spec.slots is immutable: it is 64'],
    ]);
  });
});

describe('a ShardConfig of a restored backup', () => {
  const changed = (w: Simulation, change: Partial<Settings>, specGeneration: number) => ({
    ...w.observedConfig(),
    specGeneration,
    settings: { ...w.settings, ...change },
  });

  it('is in force though its generation is an older one, once that is known for certain', () => {
    const w = world();
    for (let i = 0; i < 5; i++) w.configure({});
    const config = changed(w, { shards: 4 }, 3);
    w.send({ type: 'ConfigObserved', config });
    expect(w.state.desiredShards).toBe(2);
    w.send({ type: 'ConfigObserved', config, isRestored: true });
    expect([w.state.desiredShards, w.state.specGeneration]).toEqual([4, 3]);
    w.send({ type: 'ConfigObserved', config: changed(w, { shards: 3 }, 4) });
    expect(w.state.desiredShards).toBe(3);
  });

  it('is refused with its reason though its generation is an older one', () => {
    const w = world();
    w.send({ type: 'ConfigInvalid', specGeneration: 9, problems: ['new'] });
    w.send({ type: 'ConfigInvalid', specGeneration: 5, problems: ['late'] });
    expect(w.state.rejected?.problems).toEqual(['new']);
    w.send({ type: 'ConfigInvalid', specGeneration: 5, problems: ['restored'], isRestored: true });
    expect(w.state.rejected?.problems).toEqual(['restored']);
  });

  it('lives again though it was deleted', () => {
    const w = world();
    w.send({ type: 'ConfigDeleted' });
    w.configure({ shards: 3 });
    expect(w.state.deleted).toBe(true);
    w.send({ type: 'LogLost', config: w.observedConfig(), generation: 2, instances: [], reason: 'it is back' });
    expect(settled(w).state).toMatchObject({ deleted: false, desiredShards: 3 });
    expect(describeStatus(w.state, { now: w.now, objects: {} }).conditions).toContainEqual(
      expect.objectContaining({ type: 'Ready', status: 'True' }),
    );
  });
});

describe('a first assignment of more shards than fit into one event', () => {
  it('is no failover', () => {
    const settings = { ...testSettings, slotCount: 512, shards: 300, maxShards: 300, capacity: { objects: 10 } };
    const w = new Simulation({ settings });
    w.run(4);
    expect(w.state.owners).not.toContain(null);
    expect(new Set(w.events('shard.slots.assigned.v1').map(({ cause }) => cause))).toEqual(new Set(['cold-start']));
  }, 60_000);
});
