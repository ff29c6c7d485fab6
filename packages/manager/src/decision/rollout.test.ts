import { describe, expect, it } from 'vitest';
import { defaultSettings, evolve, type Settings, shardIdOf, SURGE } from '../aggregate/index.ts';
import { decide } from './decide.ts';
import { desired } from './desired.ts';
import { describeStatus } from './status.ts';
import { brokenInvariants } from './testing/invariants.ts';
import { Simulation, testSettings } from './testing/simulation.ts';

const [S0, S1, S2] = [shardIdOf(0), shardIdOf(1), shardIdOf(2)];

/** A world in which no slot is ever without a pod that exposes it. */
function worldWithoutGaps(settings: Partial<Settings> = {}): Simulation {
  let served = false;
  return settled(
    new Simulation({
      settings: { ...testSettings, ...settings },
      onDecision: (w) => {
        const gaps = w.gaps();
        served ||= gaps.length === 0 && w.state.owners.length > 0;
        expect(brokenInvariants(w.state)).toEqual([]);
        expect(served ? gaps : []).toEqual([]);
      },
    }),
  );
}

function settled(w: Simulation): Simulation {
  if (w.settle() === undefined) throw new Error(`not settled; last decision: ${JSON.stringify(w.state.lastDecision)}`);
  return w;
}

const revisions = (w: Simulation): Record<string, string> =>
  Object.fromEntries([...w.pods].map(([shardId, { revision }]) => [shardId, revision]));

const condition = (w: Simulation, type: string) =>
  describeStatus(w.state, { now: w.now, objects: w.objects() }).conditions.find((one) => one.type === type);

/** A rolling update whose surge worker never starts. */
function stuck(settings: Partial<Settings> = {}): Simulation {
  const w = worldWithoutGaps({ shards: 3, ...settings });
  w.brokenRevisions.add('broken');
  w.configure({}, 'broken');
  w.run(20);
  expect(w.state.rollout).toMatchObject({ revision: 'broken', replacing: null });
  return w;
}

describe('a rolling update whose revision is not proved', () => {
  it('replaces no worker, and pods that are re-created get the old template', () => {
    const w = stuck();
    w.terminate(S1);
    w.run(30);
    expect(revisions(w)).toEqual({ [S0]: 'r1', [S1]: 'r1', [S2]: 'r1', [SURGE]: 'broken' });
    expect(desired(w.state).templateProved).toBe(false);
  });

  it.each([
    ['fewer shards', { shards: 2 }, 2],
    ['more shards', { shards: 5 }, 5],
    ['a lower maximum', { maxShards: 2 }, 2],
    ['a higher minimum', { minShards: 4 }, 4],
  ])('obeys at once when it is asked for %s, and goes there', (_, change, shards) => {
    const w = stuck();
    w.configure(change);
    w.tick();
    expect(w.state.desiredShards).toBe(shards);
    w.run(60);
    const regular = Object.keys(w.state.shards).filter((shardId) => shardId !== SURGE);
    expect(regular).toEqual(Array.from({ length: shards }, (__, ordinal) => shardIdOf(ordinal)));
    expect(regular.map((shardId) => w.pods.get(shardId)?.revision)).toEqual(regular.map(() => 'r1'));
    const counts = regular.map((shardId) => w.state.owners.filter((owner) => owner === shardId).length);
    expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(1);
  });

  it('does not keep the load from adding workers of the old template', () => {
    const w = stuck({
      mode: 'Auto',
      minShards: 3,
      maxShards: 8,
      capacity: { objects: 320 },
      scaling: { ...defaultSettings.scaling, sustainedMs: 10_000, scaleUpCooldownMs: 5_000 },
    });
    w.objectsPerSlot = 20;
    w.run(60);
    expect(w.state.desiredShards).toBe(5);
    expect(Object.values(revisions(w)).filter((revision) => revision === 'r1')).toHaveLength(5);
  });

  it('recovers by itself when the template is put back, and when it is mended', () => {
    const back = stuck();
    back.configure({}, 'r1');
    settled(back);
    expect(back.events('shard.migration.planned.v1')).toEqual([]);
    const mended = stuck();
    mended.configure({}, 'r2');
    expect(Object.values(revisions(settled(mended)))).toEqual(['r2', 'r2', 'r2']);
  });

  it('is said to be stalled after its deadline, and is finished when its worker comes after all', () => {
    const w = stuck({ rollout: { deadlineMs: 60_000 } });
    expect(condition(w, 'Progressing')).toMatchObject({ status: 'True', reason: 'RollingUpdate' });
    expect(condition(w, 'Degraded')).toMatchObject({ status: 'False' });
    w.run(60);
    expect(condition(w, 'Progressing')).toMatchObject({ status: 'False', reason: 'ProgressDeadlineExceeded' });
    expect(condition(w, 'Degraded')).toMatchObject({ status: 'True', reason: 'RollingUpdateStalled' });
    const pod = w.pods.get(SURGE);
    if (pod !== undefined) pod.starting = 1;
    w.brokenRevisions.clear();
    settled(w);
    expect(condition(w, 'Degraded')).toMatchObject({ status: 'False' });
  });
});

describe('a template that changes during a rolling update', () => {
  it.each([4, 6, 9, 12, 16])('is proved first, when it changes after %i s', (seconds) => {
    const w = worldWithoutGaps({ shards: 3 });
    w.configure({}, 'r2');
    w.run(seconds);
    const before = Object.values(revisions(w));
    w.brokenRevisions.add('broken');
    w.configure({}, 'broken');
    w.run(100);
    expect(w.gaps()).toEqual([]);
    const { [SURGE]: surge, ...regular } = revisions(w);
    expect(surge).toBe('broken');
    expect(Object.values(regular)).not.toContain('broken');
    expect(Object.values(w.state.shards).filter(({ health }) => health === 'Healthy')).toHaveLength(3);
    expect(Object.values(regular).every((revision) => before.includes(revision))).toBe(true);
    w.configure({}, 'r3');
    expect(Object.values(revisions(settled(w)))).toEqual(['r3', 'r3', 'r3']);
  });
});

describe('a rolling update that is proved', () => {
  it.each([
    ['fewer', 2],
    ['more', 5],
  ])('gives way when %s shards are wanted, and is finished afterwards', (_, shards) => {
    const w = worldWithoutGaps({ shards: 3 });
    w.configure({}, 'r2');
    w.run(9);
    expect(w.state.rollout?.replacing).not.toBeNull();
    w.configure({ shards });
    w.tick();
    expect(w.state.desiredShards).toBe(shards);
    expect(w.events('shard.rollout.ended.v1').map(({ outcome }) => outcome)).toEqual(['resized']);
    settled(w);
    expect(Object.values(revisions(w))).toEqual(Array.from({ length: shards }, () => 'r2'));
  });

  it('lets go of scaling when a renewed worker does not come back, and goes on when it does', () => {
    const w = worldWithoutGaps({ shards: 3, rollout: { deadlineMs: 60_000 } });
    w.lostNodes.add(S1);
    w.configure({}, 'r2');
    w.run(120);
    expect(w.events('shard.rollout.ended.v1').map(({ outcome, shards }) => [outcome, shards])).toEqual([
      ['stalled', [S1]],
    ]);
    expect(condition(w, 'Degraded')).toMatchObject({ reason: 'RollingUpdateStalled' });
    // Nothing else is touched, and what there is shares the slots.
    expect([S0, S2].map((shardId) => w.pods.get(shardId)?.revision)).toEqual(['r1', 'r1']);
    expect([S0, S2].map((shardId) => w.state.owners.filter((owner) => owner === shardId).length)).toEqual([32, 32]);
    w.lostNodes.clear();
    expect(Object.values(revisions(settled(w)))).toEqual(['r2', 'r2', 'r2']);
    expect(condition(w, 'Degraded')).toMatchObject({ status: 'False' });
  });

  it('ends though a wanted shard never came, which gets the new template', () => {
    const w = worldWithoutGaps({ shards: 2 });
    w.lostNodes.add(S2);
    w.configure({ shards: 3 });
    w.run(100);
    w.configure({}, 'r2');
    w.run(200);
    expect(w.state.rollout).toBeNull();
    expect(revisions(w)).toEqual({ [S0]: 'r2', [S1]: 'r2' });
    w.configure({ shards: 2 });
    w.run(10);
    expect(Object.keys(w.state.shards)).toEqual([S0, S1]);
  });
});

describe('a rolling update that a manager with another kind of surge worker began', () => {
  it('begins again with the surge worker of this one', () => {
    const w = worldWithoutGaps({ shards: 2 });
    const state = { ...w.state, revision: 'r2' };
    const started = {
      type: 'shard.rollout.started.v1',
      at: w.now,
      revision: 'r2',
      surge: S2,
      reason: 'told',
    } as const;
    const next = decide(evolve(state, started, state.sequence + 1), { type: 'Tick', now: w.now, objects: {} });
    expect(next.kind === 'decided' ? next.events : []).toMatchObject([
      { type: 'shard.rollout.ended.v1', outcome: 'superseded' },
      { type: 'shard.rollout.started.v1', surge: SURGE },
    ]);
  });
});

describe('a log that is lost in a rolling update', () => {
  it('does not count the surge worker among the shards', () => {
    const w = worldWithoutGaps({ mode: 'Auto', minShards: 2, maxShards: 8 });
    w.configure({}, 'r2');
    w.run(7);
    expect(Object.keys(w.state.shards)).toContain(SURGE);
    w.loseLog();
    expect(w.state.desiredShards).toBe(2);
    settled(w);
  });
});
