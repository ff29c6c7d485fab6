import type { HeldStep } from './simulated-pod.ts';
import {
  defaultSettings,
  type Settings,
  shardIdOf,
  type ShardInstanceClaim,
  type ShardObservation,
} from '../../aggregate/index.ts';
import { Simulation, testSettings } from './simulation.ts';

/** A course of events worth telling, with the world it starts from. */
export interface Scenario {
  readonly name: string;
  readonly settings?: Partial<Settings>;
  readonly run: (world: Simulation) => void;
}

const [S0, S1, S2] = [shardIdOf(0), shardIdOf(1), shardIdOf(2)];

/** Plays `scenario` in a new world. */
export function play(scenario: Scenario): Simulation {
  const world = new Simulation({ settings: { ...testSettings, ...scenario.settings } });
  scenario.run(world);
  return world;
}

const planned: readonly Scenario[] = [
  {
    name: 'resize 2 -> 4 -> 3',
    run: (w) => {
      w.settle();
      w.configure({ shards: 4 });
      w.settle();
      w.configure({ shards: 3 });
      w.settle();
    },
  },
  {
    name: 'rolling update',
    run: (w) => {
      w.settle();
      w.configure({}, 'r2');
      w.settle();
    },
  },
  {
    name: 'a rolling update is overtaken by another template, and by another number of shards',
    settings: { shards: 3 },
    run: (w) => {
      w.settle();
      w.configure({}, 'r2');
      w.run(6);
      w.configure({}, 'r3');
      w.settle();
      w.configure({}, 'r4');
      w.holdAt = 'Cleanup';
      w.run(8);
      w.configure({ shards: 4 });
      w.run(3);
      w.holdAt = undefined;
      w.settle();
    },
  },
  {
    name: 'a rolling update stalls because a renewed worker does not come back, which it later does',
    settings: { shards: 3, rollout: { deadlineMs: 60_000 } },
    run: (w) => {
      w.settle();
      w.lostNodes.add(S0);
      w.configure({}, 'r2');
      w.run(150);
      w.lostNodes.clear();
      w.settle();
    },
  },
  {
    name: 'the first shards come late',
    run: (w) => {
      w.lostNodes.add(S1);
      w.run(70);
    },
  },
  {
    name: 'bounds move past the number of shards',
    settings: { mode: 'Auto', minShards: 2, maxShards: 6, capacity: { objects: 1_000 } },
    run: (w) => {
      w.settle();
      w.configure({ minShards: 4 });
      w.settle();
      w.configure({ minShards: 1, maxShards: 2 });
      w.settle();
    },
  },
  {
    name: 'load rises and falls',
    settings: {
      mode: 'Auto',
      minShards: 2,
      maxShards: 6,
      capacity: { objects: 320 },
      scaling: {
        ...defaultSettings.scaling,
        sustainedMs: 10_000,
        scaleUpCooldownMs: 5_000,
        scaleDownCooldownMs: 20_000,
      },
    },
    run: (w) => {
      w.settle();
      w.run(30);
      w.settle();
      w.objectsPerSlot = 1;
      w.run(60);
    },
  },
  {
    name: 'specs that cannot be used',
    run: (w) => {
      w.send({ type: 'ConfigInvalid', specGeneration: 7, problems: ['spec.slots: not a power of two'] });
      w.configure({ strategy: 'by-moon-phase' });
      for (let i = 0; i < 9; i++) w.configure({ strategy: 'by-moon-phase' });
      w.configure({ strategy: 'round-robin' });
      w.settle();
    },
  },
  {
    name: 'a first spec that cannot be used, then one that is not even of the right form, then a good one',
    settings: { strategy: 'by-moon-phase' },
    run: (w) => {
      w.send({ type: 'ConfigInvalid', specGeneration: 2, problems: ['spec.slots: not a power of two'] });
      w.configure({ strategy: 'least-loaded' });
      w.settle();
    },
  },
  {
    name: 'deletion, and the same ShardConfig is there again',
    run: (w) => {
      w.settle();
      w.send({ type: 'ConfigDeleted' });
      w.run(3);
      w.send({
        type: 'LogLost',
        config: w.observedConfig(),
        generation: w.state.generation + 1,
        instances: new Array<ShardInstanceClaim>(),
        reason: 'it is there again',
      });
      w.settle();
    },
  },
  {
    name: 'the log is lost in the middle of a resize',
    run: (w) => {
      w.settle();
      w.configure({ shards: 3 });
      w.holdAt = 'Releasing';
      w.run(6);
      w.holdAt = undefined;
      w.loseLog();
      w.settle();
      w.send({
        type: 'LogLost',
        config: w.observedConfig(),
        generation: w.state.generation + 1,
        instances: new Array<ShardInstanceClaim>(),
        reason: 'the log is behind',
      });
      w.settle();
    },
  },
];

const failures: readonly Scenario[] = [
  {
    name: 'a shard is killed and comes back',
    run: (w) => {
      w.settle();
      w.kill(S0);
      w.lostNodes.add(S0);
      w.run(8);
      w.lostNodes.clear();
      w.settle();
    },
  },
  {
    name: 'a shard is frozen, loses its slots, thaws and releases them',
    run: (w) => {
      w.settle();
      w.freeze(S0);
      w.run(10);
      w.freeze(S0, false);
      w.settle();
    },
  },
  {
    name: 'a shard is suspected and heard again',
    run: (w) => {
      w.settle();
      w.freeze(S0);
      w.run(3);
      w.freeze(S0, false);
      w.run(3);
    },
  },
  {
    name: 'most shards fail at once, one by one, and wait for capacity until time is up',
    settings: { shards: 4, capacity: { objects: 200 } },
    run: (w) => {
      w.settle();
      for (const ordinal of [1, 2, 3]) {
        w.lostNodes.add(shardIdOf(ordinal));
        w.kill(shardIdOf(ordinal));
        w.run(2);
      }
      w.run(70);
    },
  },
  {
    name: 'most shards fail at once and come back before anything was moved',
    settings: { shards: 3, capacity: { objects: 200 } },
    run: (w) => {
      w.settle();
      for (const shardId of [S0, S1, S2]) w.freeze(shardId);
      w.run(8);
      for (const shardId of [S0, S1, S2]) w.freeze(shardId, false);
      w.settle();
    },
  },
  {
    name: 'a shard cannot serve for long, and later it can',
    run: (w) => {
      w.settle();
      w.unable.add(S0);
      w.run(20);
      w.unable.clear();
      w.settle();
    },
  },
  {
    name: 'a shard terminates',
    settings: { shards: 3 },
    run: (w) => {
      w.settle();
      w.terminate(S1);
      w.settle();
    },
  },
  ...(['fail', 'omit-one'] as const).map((fault): Scenario => {
    return {
      name: `a target that has to warm does this once: ${fault}`,
      run: (w) => {
        w.settle();
        w.faults.set(S2, fault);
        w.configure({ shards: 3 });
        w.settle();
      },
    };
  }),
];

const observed = (health: ShardObservation['health'], epoch = 0): ShardObservation => ({
  shardId: S0,
  health,
  evidence: ['told'],
  revision: 'r1',
  draining: false,
  generation: 1,
  epoch,
});

const standbys: readonly Scenario[] = [
  {
    name: 'an active worker is lost, its standby serves, and later the other way round',
    settings: { replicasPerShard: 2 },
    run: (w) => {
      w.settle();
      w.kill(S0);
      w.settle();
      w.freeze(S0);
      w.run(3);
      w.settle();
    },
  },
  {
    name: 'an active worker with a standby terminates',
    settings: { replicasPerShard: 2 },
    run: (w) => {
      w.settle();
      w.terminate(S1);
      w.settle();
    },
  },
  {
    name: 'rolling update with standbys',
    settings: { replicasPerShard: 2 },
    run: (w) => {
      w.settle();
      w.configure({}, 'r2');
      w.settle();
    },
  },
  {
    name: 'a shard that its standby serves loses its standby',
    settings: { replicasPerShard: 2 },
    run: (w) => {
      w.settle();
      w.kill(S0);
      w.settle();
      w.configure({ replicasPerShard: 1 });
      w.settle();
    },
  },
];

/** Every order of two or three observations of one shard, the next tick of the world correcting what is untrue. */
const observations: readonly Scenario[] = (['Starting', 'Healthy', 'Suspect', 'Failed'] as const).flatMap((first) =>
  (['Starting', 'Suspect', 'Failed'] as const).map((second): Scenario => {
    return {
      name: `${S0} is seen ${first}, then ${second}, then Healthy`,
      run: (w) => {
        w.settle();
        for (const health of [first, second, 'Healthy'] as const) {
          w.send({ type: 'ShardObserved', observation: observed(health, Number.MAX_SAFE_INTEGER) });
        }
        w.run(3);
      },
    };
  }),
);

const unexpected: readonly Scenario[] = [
  {
    name: 'an empty shard is lost while it is Healthy, and while it is Suspect',
    run: (w) => {
      w.settle();
      w.configure({ shards: 3 });
      w.holdAt = 'Preparation';
      w.run(4);
      sayOfTarget(w, 'failed');
      w.send({ type: 'ShardObserved', observation: { ...observed('Failed'), shardId: S2 } });
      w.run(1);
      w.send({ type: 'ShardObserved', observation: { ...observed('Suspect'), shardId: S2 } });
      w.send({ type: 'ShardObserved', observation: { ...observed('Failed'), shardId: S2 } });
      w.run(2);
    },
  },
  ...(['Failed', 'Suspect'] as const).map((again): Scenario => {
    return {
      name: `a shard is ${again} again as soon as it is back`,
      run: (w) => {
        w.settle();
        for (const health of ['Failed', 'Starting', again] as const) {
          w.send({ type: 'ShardObserved', observation: observed(health) });
        }
        w.settle();
      },
    };
  }),
  {
    name: 'the longest overlap is over while the target is not heard',
    run: (w) => {
      w.settle();
      w.configure({ shards: 3 });
      w.holdAt = 'Cleanup';
      w.run(10);
      w.send({ type: 'ShardObserved', observation: { ...observed('Suspect'), shardId: S2 } });
      w.now += defaultSettings.handover.maxOverlapMs;
      w.send({ type: 'Tick' });
    },
  },
  {
    name: 'a pending owner is lost',
    run: (w) => {
      w.settle();
      w.unable.add(S0);
      w.run(2);
      w.kill(S0);
      w.lostNodes.add(S0);
      w.send({ type: 'ShardObserved', observation: observed('Failed') });
      w.run(3);
    },
  },
];

type Blow = readonly [string, (world: Simulation) => void];

/** What can happen to the migrations from shard-000 and shard-001 to shard-002. */
const blows: readonly Blow[] = [
  ['the source is lost', loseSource],
  ['the target is lost', (w) => lose(w, S2)],
  ['the target terminates', (w) => w.terminate(S2)],
  ['the target is no longer wanted', (w) => w.configure({ shards: 2 })],
  ['nothing more is said', (w) => w.run(150)],
  ['the target fails', (w) => sayOfTarget(w, 'failed')],
  ['the target begins again', (w) => sayOfTarget(w, 'warming')],
];

function loseSource(world: Simulation): void {
  const started = Object.values(world.state.migrations).find((m) => m.step !== 'Planning');
  if (started !== undefined) lose(world, started.source);
}

function lose(world: Simulation, shardId: string): void {
  world.lostNodes.add(shardId);
  world.kill(shardId);
}

function sayOfTarget(world: Simulation, state: 'failed' | 'warming'): void {
  for (const { id, target } of Object.values(world.state.migrations)) {
    const handover = { migration: id, role: 'target', state, objects: 0 } as const;
    world.send({ type: 'HandoverObserved', shardId: target, handover });
  }
}

const steps: readonly HeldStep[] = ['Preparation', 'Transfer', 'Verification', 'Cleanup', 'Releasing'];

const lateMismatch: Scenario = {
  name: 'the two sides of a verified migration differ when its scrapers have moved',
  run: (w) => {
    w.settle();
    w.configure({ shards: 3 });
    w.holdAt = 'Cleanup';
    w.run(6);
    for (const { id } of Object.values(w.state.migrations)) {
      w.send({ type: 'VerificationFinished', migration: id, equal: false, detail: 'told to' });
    }
    w.holdAt = undefined;
    w.settle();
  },
};

/** Every blow at every step. With one migration at a time, the second one is hit in Planning. */
const migrations: readonly Scenario[] = steps.flatMap((step) =>
  blows.map(([what, strike]): Scenario => {
    return {
      name: `${what} while a migration is held in ${step}`,
      settings: { rebalance: { maxConcurrentMigrations: 1 } },
      run: (w) => {
        w.settle();
        w.configure({ shards: 3 });
        w.holdAt = step;
        w.run(5);
        strike(w);
        w.run(7);
        w.holdAt = undefined;
        w.lostNodes.clear();
        w.run(5);
      },
    };
  }),
);

/** The source of the migration in Planning is lost. */
const waiting: Scenario = {
  name: 'the source of a waiting migration is lost',
  settings: { rebalance: { maxConcurrentMigrations: 1 } },
  run: (w) => {
    w.settle();
    w.configure({ shards: 3 });
    w.holdAt = 'Preparation';
    w.run(5);
    const last = Object.values(w.state.migrations).find((m) => m.step === 'Planning');
    if (last !== undefined) lose(w, last.source);
    w.run(7);
  },
};

/** Courses of events that together need every row of every decision table. */
export const scenarios: readonly Scenario[] = [
  ...planned,
  ...failures,
  ...standbys,
  ...observations,
  ...unexpected,
  ...migrations,
  lateMismatch,
  waiting,
];
