import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { evolve, initialState, type Settings, type ShardConfigState, shardIdOf } from '../aggregate/index.ts';
import { desired } from './desired.ts';
import { brokenInvariants } from './testing/invariants.ts';
import { Simulation, testSettings } from './testing/simulation.ts';

const [S0, S1, S2, S3] = [shardIdOf(0), shardIdOf(1), shardIdOf(2), shardIdOf(3)];

/** A settled world in which, from then on, no slot is ever without a worker that exposes it. */
function neverAway(settings: Partial<Settings> = {}): Simulation {
  let isSettled = false;
  const world = new Simulation({
    settings: { ...testSettings, ...settings },
    onDecision: (w) => {
      expect(brokenInvariants(w.state)).toEqual([]);
      expect(isSettled ? w.gaps() : []).toEqual([]);
    },
  });
  settle(world);
  isSettled = true;
  return world;
}

function settle(w: Simulation): Simulation {
  if (w.settle() === undefined) throw new Error(`not settled; last decision: ${JSON.stringify(w.state.lastDecision)}`);
  return w;
}

const slotsOf = (w: Simulation, shardId: string): number => w.state.owners.filter((owner) => owner === shardId).length;
const toldTo = (w: Simulation, shardId: string) => desired(w.state).assignments.find((a) => a.shardId === shardId);
const foldOf = (w: Simulation): ShardConfigState =>
  w.log.reduce((state, { event, sequence }) => evolve(state, event, sequence), initialState);

describe('a shard that is wrongly believed lost', () => {
  it('goes on exposing its slots until the new owners show them, and then releases them', () => {
    const w = neverAway({ shards: 3 });
    w.misjudged.add(S0);
    w.run(5);
    expect(slotsOf(w, S0)).toBe(0);
    expect(toldTo(w, S0)?.releaseRanges).toEqual([]);
    expect(toldTo(w, S0)?.keepRanges?.length).toBeGreaterThan(0);
    w.run(10);
    expect(w.doubled()).toEqual([]);
    expect(toldTo(w, S0)?.keepRanges).toBeUndefined();
    w.misjudged.clear();
    settle(w);
    expect(foldOf(w)).toEqual(w.state);
  });

  it('keeps them though the new owner dies before it shows them', () => {
    const w = neverAway();
    w.loadTicks = 30;
    w.misjudged.add(S0);
    w.run(6);
    expect(slotsOf(w, S1)).toBe(64);
    w.misjudged.clear();
    // Two failures within ten seconds would be a mass failure.
    w.run(10);
    expect(w.state.shards[S0]).toMatchObject({ health: 'Healthy', stale: { kept: { length: 32 } } });
    w.misjudged.add(S1);
    w.run(6);
    expect(slotsOf(w, S0)).toBe(64);
    expect(w.state.shards[S0]?.stale).toBeNull();
    w.loadTicks = 1;
    w.misjudged.clear();
    settle(w);
  });

  it('keeps those that it lost a second time, too', () => {
    const w = neverAway({ shards: 3 });
    w.loadTicks = 12;
    for (let i = 0; i < 3; i++) {
      w.misjudged.add(S0);
      w.run(7);
      w.misjudged.clear();
      w.run(7);
    }
    settle(w);
    expect(w.doubled()).toEqual([]);
  });

  it('keeps the slots of a migration whose target had not loaded them', () => {
    const w = neverAway({ shards: 1 });
    w.holdAt = 'Preparation';
    w.configure({ shards: 2 });
    w.run(5);
    w.misjudged.add(S0);
    w.run(5);
    expect(w.events('shard.migration.committed.v1').map(({ because }) => because)).toEqual(['source-lost']);
    expect(toldTo(w, S0)?.releaseRanges).toEqual([]);
    w.holdAt = undefined;
    w.misjudged.clear();
    settle(w);
  });

  it('keeps them also when the log is lost meanwhile', () => {
    const w = neverAway({ shards: 3 });
    w.loadTicks = 10;
    w.misjudged.add(S0);
    w.run(6);
    expect(toldTo(w, S0)?.keepRanges?.length).toBeGreaterThan(0);
    w.loseLog();
    expect(toldTo(w, S0)?.releaseRanges).toEqual([]);
    w.misjudged.clear();
    settle(w);
    expect(w.doubled()).toEqual([]);
  });

  it('costs doubling and never a gap, whatever else is planned meanwhile', () => {
    const ordinal = fc.integer({ min: 0, max: 4 });
    const step = fc.oneof(
      { weight: 4, arbitrary: fc.integer({ min: 1, max: 8 }).map((n) => ['ticks', n] as const) },
      { weight: 3, arbitrary: ordinal.map((n) => ['misjudge', n] as const) },
      { weight: 2, arbitrary: ordinal.map((n) => ['hear', n] as const) },
      fc.integer({ min: 1, max: 5 }).map((n) => ['shards', n] as const),
      fc.integer({ min: 1, max: 9 }).map((n) => ['load ticks', n] as const),
      fc.constantFrom(1, 2, 3).map((n) => ['template', n] as const),
      fc.constant(['lose log', 0] as const),
    );
    fc.assert(
      fc.property(fc.array(step, { minLength: 1, maxLength: 25 }), (steps) => {
        const w = neverAway({ shards: 3 });
        for (const [what, n] of steps) {
          if (what === 'ticks') w.run(n);
          else if (what === 'misjudge') w.misjudged.add(shardIdOf(n));
          else if (what === 'hear') w.misjudged.delete(shardIdOf(n));
          else if (what === 'shards') w.configure({ shards: n });
          else if (what === 'load ticks') w.loadTicks = n;
          else if (what === 'template') w.configure({}, `r${n}`);
          else w.loseLog();
        }
        w.misjudged.clear();
        expect({ ticks: w.settle(600), state: w.state }).toMatchObject({ ticks: expect.any(Number) });
      }),
      { numRuns: 80 },
    );
  });
});

describe('an event of an earlier version', () => {
  it('still tells the former owner to release at once, so that a log keeps its epochs', () => {
    const w = settle(new Simulation({ settings: { ...testSettings, shards: 2 } }));
    const slots = w.state.owners.flatMap((owner, slot) => (owner === S0 ? [slot] : []));
    const after = evolve(
      w.state,
      {
        type: 'shard.slots.assigned.v1',
        at: w.now,
        cause: 'failover',
        moves: [{ from: S0, to: S1, slots }],
        releases: [{ shardId: S0, id: 'g1-r9' }],
        reason: 'shard-000 failed',
      },
      w.state.sequence + 1,
    );
    expect(after.shards[S0]?.stale).toEqual({ id: 'g1-r9', slots, kept: [] });
    const confirmed = evolve(
      after,
      { type: 'shard.release.confirmed.v1', at: w.now, shardId: S0, id: 'g1-r9' },
      after.sequence + 1,
    );
    expect(confirmed.shards[S0]?.stale).toBeNull();
  });
});

describe('a target that cannot take slots', () => {
  it('is not tried again at once by a terminating shard while another one is well', () => {
    const w = neverAway({ shards: 3 });
    w.terminate(S0);
    for (let i = 0; i < 55 && slotsOf(w, S0) > 0; i++) {
      w.faults.set(S1, 'fail');
      w.tick();
    }
    expect(slotsOf(w, S0)).toBe(0);
    expect(w.events('shard.migration.rolledback.v1').length).toBeLessThanOrEqual(2);
    expect(slotsOf(w, S2)).toBeGreaterThan(32);
  });

  it('delays no evacuation by its back-off', () => {
    const w = neverAway({ shards: 4 });
    w.faults.set(S3, 'fail');
    w.terminate(S0);
    w.run(3);
    expect(w.events('shard.migration.rolledback.v1')).toHaveLength(1);
    w.faults.clear();
    w.terminate(S1);
    const before = w.events('shard.migration.planned.v1').length;
    w.run(2);
    const planned = w.events('shard.migration.planned.v1').slice(before);
    expect(planned.some(({ source }) => source === S1)).toBe(true);
    expect(planned.some(({ target }) => target === S3)).toBe(false);
  });

  it('is tried again after its back-off, where it is the only one', () => {
    const w = neverAway({ shards: 2 });
    w.faults.set(S1, 'fail');
    w.terminate(S0);
    w.run(4);
    expect(w.events('shard.migration.planned.v1')).toHaveLength(1);
    w.run(8);
    expect(slotsOf(w, S0)).toBe(0);
  });
});

describe('slots without an owner', () => {
  it('go to shards that still have others to release, where nobody else is left', () => {
    const w = settle(new Simulation({ settings: { ...testSettings, shards: 3 } }));
    w.loadTicks = 8;
    w.holdAt = 'Releasing';
    for (const shardId of [S0, S1]) {
      w.misjudged.add(shardId);
      w.run(5);
      w.misjudged.delete(shardId);
      w.run(12);
      expect(w.state.shards[shardId]).toMatchObject({ health: 'Healthy', stale: { kept: [] } });
    }
    w.lostNodes.add(S2);
    w.kill(S2);
    w.run(6);
    expect([S0, S1, S2].map((shardId) => slotsOf(w, shardId))).toEqual([32, 32, 0]);
    expect(brokenInvariants(w.state)).toEqual([]);
    w.holdAt = undefined;
    w.lostNodes.clear();
    settle(w);
  });
});
