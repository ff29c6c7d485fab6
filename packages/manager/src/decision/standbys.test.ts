import type { HeldStep } from './testing/simulated-pod.ts';
import { describe, expect, it } from 'vitest';
import { type Settings, shardIdOf } from '../aggregate/index.ts';
import { desired } from './desired.ts';
import { brokenInvariants } from './testing/invariants.ts';
import { Simulation, testSettings } from './testing/simulation.ts';

const [S0, S1, S2] = [shardIdOf(0), shardIdOf(1), shardIdOf(2)];

function world(settings: Partial<Settings> = {}, planned = false): Simulation {
  let served = false;
  const w = new Simulation({
    settings: { ...testSettings, replicasPerShard: 2, ...settings },
    onDecision: (now) => {
      expect(brokenInvariants(now.state)).toEqual([]);
      expect(planned && served ? now.gaps() : []).toEqual([]);
    },
  });
  settled(w);
  served = true;
  return w;
}

function settled(w: Simulation): Simulation {
  if (w.settle() === undefined) throw new Error(`not settled; last decision: ${JSON.stringify(w.state.lastDecision)}`);
  return w;
}

const promotions = (w: Simulation): string[] =>
  w.events('shard.standby.promoted.v1').map(({ shardId, from, to, cause }) => `${shardId} ${from}>${to} ${cause}`);

const assignmentFor = (w: Simulation, shardId: string) =>
  desired(w.state).assignments.find((assignment) => assignment.shardId === shardId);

describe('a shard with a standby', () => {
  it('starts with replica a, and every assignment says who serves', () => {
    const w = world();
    expect(promotions(w)).toEqual([]);
    expect(desired(w.state).statefulSets.map(({ replica }) => replica)).toEqual(['a', 'b']);
    expect(desired(w.state).assignments.map(({ activeReplica }) => activeReplica)).toEqual(['a', 'a']);
  });

  it('goes on with its standby when the active worker is lost: no slot moves, and the epoch is newer', () => {
    const w = world();
    const before = assignmentFor(w, S0);
    w.kill(S0);
    w.lostNodes.add(`${S0}/standby`);
    w.run(10);
    expect(promotions(w)).toEqual([`${S0} a>b lost`]);
    expect(w.gaps()).toEqual([]);
    const after = assignmentFor(w, S0);
    expect(after).toMatchObject({ activeReplica: 'b', hashRanges: before?.hashRanges });
    expect(after?.epoch).toBe(w.state.shards[S0]?.epoch);
    expect(after?.epoch).toBeGreaterThan(before?.epoch ?? Number.NaN);
    expect(assignmentFor(w, S1)?.epoch).toBeLessThan(after?.epoch ?? 0);
    expect(w.events('shard.slots.assigned.v1').map(({ cause }) => cause)).toEqual(['cold-start']);
  });

  it('makes the one that was lost the standby when it is back, and needs it again later', () => {
    const w = world();
    w.kill(S0);
    settled(w);
    expect([w.pods.get(S0)?.replica, w.standbys.get(S0)?.replica]).toEqual(['b', 'a']);
    w.freeze(S0);
    w.run(3);
    expect(promotions(w)).toEqual([`${S0} a>b lost`, `${S0} b>a lost`]);
  });

  it('fails over as ever when both are lost', () => {
    const w = world({ shards: 3 });
    w.standbys.delete(S0);
    w.kill(S0);
    w.lostNodes.add(S0);
    w.lostNodes.add(`${S0}/standby`);
    w.run(10);
    expect(promotions(w)).toEqual([]);
    expect(w.events('shard.slots.assigned.v1').map(({ cause }) => cause)).toContain('failover');
    expect(w.gaps()).toEqual([]);
  });

  it('lets the standby take over from a worker that terminates instead of moving its slots', () => {
    const w = world({ shards: 3 }, true);
    w.terminate(S1);
    settled(w);
    expect(promotions(w)).toEqual([`${S1} a>b terminating`]);
    expect(w.events('shard.migration.planned.v1')).toEqual([]);
  });

  it('rolls by renewing the standby, letting it take over, and renewing the other one: no slot moves', () => {
    const w = world({ shards: 3 }, true);
    w.configure({}, 'r2');
    settled(w);
    expect(promotions(w).sort()).toEqual([S0, S1, S2].map((shardId) => `${shardId} a>b outdated`));
    expect([...w.pods.values(), ...w.standbys.values()].map(({ revision }) => revision)).toEqual(Array(6).fill('r2'));
    expect(w.events('shard.migration.planned.v1')).toEqual([]);
    expect(w.events('shard.rollout.ended.v1').map(({ outcome }) => outcome)).toEqual(['standbys']);
  });

  it('renews nothing while it is paused', () => {
    const w = world();
    w.configure({ mode: 'Paused' }, 'r2');
    w.run(20);
    expect(promotions(w)).toEqual([]);
    expect(desired(w.state).podsToDelete).toEqual([]);
  });

  it('goes back to replica a before the second StatefulSet goes', () => {
    const w = world({}, true);
    w.kill(S0);
    settled(w);
    w.configure({ replicasPerShard: 1 });
    expect(desired(w.state).statefulSets.map(({ replica }) => replica)).toEqual(['a', 'b']);
    settled(w);
    expect(promotions(w)).toEqual([`${S0} a>b lost`, `${S0} b>a surplus`]);
    expect(desired(w.state).statefulSets.map(({ replica }) => replica)).toEqual(['a']);
    expect(desired(w.state).assignments.map(({ activeReplica }) => activeReplica)).toEqual([undefined, undefined]);
  });

  it('keeps the active replica when the log is lost', () => {
    const w = world();
    w.kill(S0);
    settled(w);
    w.loseLog();
    expect([S0, S1].map((shardId) => w.state.shards[shardId]?.active)).toEqual(['b', 'a']);
    settled(w);
  });

  const steps: readonly HeldStep[] = ['Preparation', 'Transfer', 'Verification', 'Cleanup', 'Releasing'];
  it.each(steps.flatMap((step) => (['source', 'target'] as const).map((side) => [side, step] as const)))(
    'whose active worker is lost as %s of a migration in %s loses no slot, and the migration ends',
    (side, step) => {
      const w = world();
      w.configure({ shards: 3 });
      w.holdAt = step;
      w.run(8);
      const [migration] = Object.values(w.state.migrations).filter((m) => m.step !== 'Planning');
      expect(migration?.step).toBe(step === 'Releasing' ? 'Cleanup' : step);
      w.kill(migration?.[side] ?? '');
      w.run(3);
      w.holdAt = undefined;
      settled(w);
      expect(promotions(w)).toContain(`${migration?.[side]} a>b lost`);
      expect(w.events('shard.slots.assigned.v1').map(({ cause }) => cause)).toEqual(['cold-start']);
      expect(w.gaps()).toEqual([]);
    },
  );
});
