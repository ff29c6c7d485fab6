import { describe, expect, it } from 'vitest';
import { defaultSettings, type Settings, shardIdOf, SURGE } from '../aggregate/index.ts';
import { describeStatus, type DesiredStatus } from './status.ts';
import { Simulation, testSettings } from './testing/simulation.ts';

const [S0, S1, S2] = [shardIdOf(0), shardIdOf(1), shardIdOf(2)];

const auto: Partial<Settings> = {
  mode: 'Auto',
  minShards: 2,
  maxShards: 5,
  capacity: { objects: 320 },
  scaling: { ...defaultSettings.scaling, sustainedMs: 20_000, scaleUpCooldownMs: 60_000, scaleDownCooldownMs: 40_000 },
};

function world(settings: Partial<Settings> = {}): Simulation {
  const w = new Simulation({ settings: { ...testSettings, ...settings } });
  if (w.settle() === undefined) throw new Error('not settled');
  return w;
}

/** Conditions that are not as on a quiet day, and the holds: `Type=Status Reason: message`, `what: reason`. */
function told(w: Simulation, objects = w.objects()): string[] {
  const { conditions, holds }: DesiredStatus = describeStatus(w.state, { now: w.now, objects });
  const quiet = new Set(['AllSlotsServed', 'Settled', 'AsExpected', 'WithinBounds']);
  return [
    ...conditions
      .filter(({ reason }) => !quiet.has(reason))
      .map(({ type, status, reason, message }) => `${type}=${status} ${reason}: ${message}`),
    ...holds.map(({ what, reason, rests }) => `${what} ${rests ? 'rests' : 'waits'}: ${reason}`),
  ];
}

interface Case {
  readonly name: string;
  readonly settings?: Partial<Settings>;
  readonly make?: (w: Simulation) => void;
  readonly objects?: (w: Simulation) => Readonly<Record<string, number>>;
  readonly told: readonly string[];
}

const cases: readonly Case[] = [
  { name: 'nothing is wrong', told: [] },
  {
    name: 'more shards are told than allowed',
    settings: { shards: 9, maxShards: 3 },
    told: ['ScalingLimited=True AtMaximum: spec.shards is 9, but minShards 1 and maxShards 3 take precedence'],
  },
  {
    name: 'fewer shards are told than allowed',
    settings: { shards: 1, minShards: 2 },
    told: ['ScalingLimited=True AtMinimum: spec.shards is 1, but minShards 2 and maxShards 8 take precedence'],
  },
  {
    name: 'shards are added while a rolling update goes on',
    settings: { shards: 3 },
    make: (w) => {
      w.brokenRevisions.add('broken');
      w.configure({}, 'broken');
      w.run(3);
      w.configure({ shards: 4 });
      w.tick();
    },
    told: [
      `Progressing=True RollingUpdate: 3 workers have to be replaced; rollout waits: ${SURGE} (Pending) has to be ready with revision broken first; rebalancing waits: waiting for shard-003 (Pending)`,
      `rollout waits: ${SURGE} (Pending) has to be ready with revision broken first`,
      'rebalancing waits: waiting for shard-003 (Pending)',
    ],
  },
  {
    name: 'a small fleet is idle at its minimum',
    settings: auto,
    make: (w) => {
      w.objectsPerSlot = 1;
      w.run(400);
    },
    told: ['scaling rests: load is below its threshold: minShards is 2'],
  },
  {
    name: 'the load is high and must last',
    settings: auto,
    make: (w) => w.run(10),
    told: [
      'Progressing=True Waiting: scaling waits: load is above its threshold: it must last until 00:17:05Z',
      'scaling waits: load is above its threshold: it must last until 00:17:05Z',
    ],
  },
  {
    name: 'the load is high within the cooldown',
    settings: { ...auto, scaling: { ...auto.scaling, sustainedMs: 1_000 } as Settings['scaling'] },
    make: (w) => w.run(10),
    told: [
      'Progressing=True Waiting: scaling waits: load is above its threshold: cooldown until 00:17:40Z',
      'scaling waits: load is above its threshold: cooldown until 00:17:40Z',
    ],
  },
  {
    name: 'the load is high at the maximum',
    settings: { ...auto, maxShards: 2 },
    make: (w) => w.run(90),
    told: [
      'ScalingLimited=True AtMaximum: the load asks for more shards than maxShards 2',
      'scaling rests: load is above its threshold: maxShards is 2',
    ],
  },
  {
    name: 'the load is low, and fewer shards would be overloaded',
    settings: { ...auto, minShards: 1, scaleUpThreshold: 0.31, scaleDownThreshold: 0.3 },
    make: (w) => {
      w.objectsPerSlot = 2.9;
      w.run(90);
    },
    told: ['scaling rests: load is below its threshold: fewer shards would be overloaded'],
  },
  {
    name: 'a rolling update moves slots while the load is high',
    settings: auto,
    make: (w) => {
      w.run(10);
      w.configure({}, 'r2');
      w.holdAt = 'Cleanup';
      w.run(8);
    },
    told: [
      'Progressing=True RollingUpdate: 2 workers have to be replaced; scaling waits: load is above its threshold: the load is not known: a rolling update moves slots; rollout waits: migrations are open; rebalancing waits: a rolling update is in progress',
      'ScalingLimited=True RollingUpdate: load is above its threshold: the load is not known: a rolling update moves slots',
      'scaling waits: load is above its threshold: the load is not known: a rolling update moves slots',
      'rollout waits: migrations are open',
      'rebalancing waits: a rolling update is in progress',
    ],
  },
  {
    name: 'too few shards tell their load',
    settings: { ...auto, minShards: 3 },
    objects: () => ({ [S0]: 10 }),
    told: [
      `Progressing=True Waiting: scaling waits: the load is not known: no figures from ${S1}, ${S2}`,
      `ScalingLimited=True LoadUnknown: the load is not known: no figures from ${S1}, ${S2}`,
      `scaling waits: the load is not known: no figures from ${S1}, ${S2}`,
    ],
  },
  {
    name: 'one of three does not tell its load',
    settings: { ...auto, minShards: 3 },
    objects: () => ({ [S0]: 160, [S1]: 160 }),
    told: [],
  },
  {
    name: 'the load would need no more shards, if all came',
    settings: { ...auto, maxShards: 3 },
    make: (w) => {
      w.lostNodes.add(S2);
      w.configure({ minShards: 3, maxShards: 9 });
      w.run(90);
    },
    told: [
      `Progressing=True Waiting: ${S2} is Pending; scaling waits: load is above its threshold: 3 shards would be enough, but these do not serve: ${S2}`,
      `scaling waits: load is above its threshold: 3 shards would be enough, but these do not serve: ${S2}`,
    ],
  },
  {
    name: 'it is paused with an outdated template and a number of shards outside of the bounds',
    settings: { shards: 3 },
    make: (w) => {
      w.configure({ mode: 'Paused', maxShards: 2 }, 'r2');
      w.run(30);
    },
    told: [
      'ScalingLimited=True Paused: 3 shards are outside of minShards 1 and maxShards 2, but mode is Paused',
      'scaling rests: mode is Paused',
      'rollout rests: mode is Paused',
    ],
  },
  {
    name: 'a rolling update has stalled before its revision was proved',
    settings: { rollout: { deadlineMs: 60_000 } },
    make: (w) => {
      w.brokenRevisions.add('broken');
      w.configure({}, 'broken');
      w.run(70);
    },
    told: [
      `Progressing=False ProgressDeadlineExceeded: the rolling update to revision broken has made no progress for 60 s; rollout rests: ${SURGE} (Pending) has to be ready with revision broken first`,
      'Degraded=True RollingUpdateStalled: the rolling update to revision broken has made no progress for 60 s',
      `rollout rests: ${SURGE} (Pending) has to be ready with revision broken first`,
    ],
  },
  {
    name: 'a rolling update has stalled at a worker that did not come back',
    settings: { rollout: { deadlineMs: 60_000 } },
    make: (w) => {
      w.lostNodes.add(S0);
      w.configure({}, 'r2');
      w.run(140);
    },
    told: [
      `Progressing=False ProgressDeadlineExceeded: the rolling update stalled: revision r2 made no progress for 60 s: ${S0} not ready; rollout rests: the last one stalled: revision r2 made no progress for 60 s: ${S0} not ready; waiting for ${S0}`,
      `Degraded=True RollingUpdateStalled: the rolling update stalled: revision r2 made no progress for 60 s: ${S0} not ready`,
      `rollout rests: the last one stalled: revision r2 made no progress for 60 s: ${S0} not ready; waiting for ${S0}`,
    ],
  },
  {
    name: 'standbys are replaced',
    settings: { replicasPerShard: 2 },
    make: (w) => {
      w.configure({}, 'r2');
      w.run(2);
      for (const ordinal of [0, 1]) w.lostNodes.add(`${shardIdOf(ordinal)}/standby`);
      w.run(5);
    },
    told: [
      'Progressing=True Waiting: rollout waits: standbys are replaced first and take over, one by one',
      'rollout waits: standbys are replaced first and take over, one by one',
    ],
  },
  {
    name: 'many shards failed at once',
    settings: { shards: 3, capacity: { objects: 250 } },
    make: (w) => {
      for (const shardId of [S1, S2]) {
        w.lostNodes.add(shardId);
        w.kill(shardId);
      }
      w.run(5);
    },
    told: [
      'Ready=False SlotsNotServed: 21 of 64 slots have no serving shard',
      `Progressing=True Waiting: ${S1} is Failed; ${S2} is Failed; failover waits: ${S2}: waiting for capacity, or for the longest wait to end; rebalancing waits: a failover is not finished`,
      `Degraded=True MassFailure: ${S2} failed at once; their slots wait; ${S1} is Failed, ${S2} is Failed`,
      `failover waits: ${S2}: waiting for capacity, or for the longest wait to end`,
      'rebalancing waits: a failover is not finished',
    ],
  },
  {
    name: 'a spec cannot be used',
    make: (w) => w.send({ type: 'ConfigInvalid', specGeneration: 7, problems: ['spec.slots: not a power of two'] }),
    told: ['Degraded=True InvalidSpec: the newest spec is not in force: spec.slots: not a power of two'],
  },
];

describe('what status says when', () => {
  it.each(cases.map((one) => [one.name, one] as const))('%s', (_, { settings, make, objects, told: expected }) => {
    const w = world(settings);
    make?.(w);
    expect(told(w, objects?.(w))).toEqual(expected);
  });

  it('the first shards start', () => {
    const w = new Simulation({ settings: testSettings });
    w.tick();
    expect(told(w)).toEqual([
      'Ready=False Starting: 64 of 64 slots have no serving shard',
      `Progressing=True Waiting: ${S0} is Pending; ${S1} is Pending; start waits: waiting for ${S0}, ${S1}`,
      `start waits: waiting for ${S0}, ${S1}`,
    ]);
  });
});

describe('the load', () => {
  const loadOf = (w: Simulation, objects: Readonly<Record<string, number>>) =>
    describeStatus(w.state, { now: w.now, objects }).load;

  it('is that of the shards that serve, whatever a lost one said last', () => {
    const w = world({ ...auto, minShards: 3 });
    w.lostNodes.add(S2);
    w.kill(S2);
    w.run(10);
    expect(loadOf(w, { [S0]: 192, [S1]: 192, [S2]: 128 })).toBe(0.6);
  });

  it('adds shards though a wanted one never came', () => {
    const w = world({ ...auto, maxShards: 8, capacity: { objects: 320 } });
    w.lostNodes.add(S2);
    w.configure({ minShards: 3 });
    w.objectsPerSlot = 20;
    w.run(150);
    expect(w.state.desiredShards).toBeGreaterThan(3);
    expect(w.state.shards[S2]?.health).toBe('Pending');
  });

  it('at the threshold is crossed once, not at every figure', () => {
    const w = world({ ...auto, maxShards: 2 });
    for (let second = 0; second < 600; second++) {
      w.objectsPerSlot = 10 * (0.8 + (second % 2 === 0 ? 0.01 : -0.01));
      w.tick();
    }
    expect(w.events('shard.load.crossed.v1').map(({ band }) => band)).toEqual(['below', 'above']);
  });
});
