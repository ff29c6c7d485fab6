import fc from 'fast-check';
import type { HeldStep } from './testing/simulated-pod.ts';
import { describe, expect, it } from 'vitest';
import { evolve, initialState, type ShardConfigState, shardEventSchema, shardIdOf } from '../aggregate/index.ts';
import { brokenInvariants } from './testing/invariants.ts';
import { Simulation } from './testing/simulation.ts';

type Step = (world: Simulation) => void;

const ordinal = fc.integer({ min: 0, max: 5 });

/** Things that happen to a fleet. Each is named, so that a counterexample can be read. */
const step: fc.Arbitrary<readonly [string, Step]> = fc.oneof(
  { weight: 6, arbitrary: fc.integer({ min: 1, max: 8 }).map(named('ticks', (n) => (w) => w.run(n))) },
  fc.integer({ min: 1, max: 6 }).map(named('shards', (shards) => (w) => w.configure({ shards }))),
  fc.constantFrom('r1', 'r2', 'r3').map(named('template', (revision) => (w) => w.configure({}, revision))),
  fc.constantFrom<'Manual' | 'Paused'>('Manual', 'Paused').map(named('mode', (mode) => (w) => w.configure({ mode }))),
  ordinal.map(named('kill', (n) => (w) => w.kill(shardIdOf(n)))),
  ordinal.map(named('freeze', (n) => (w) => w.freeze(shardIdOf(n)))),
  ordinal.map(named('thaw', (n) => (w) => w.freeze(shardIdOf(n), false))),
  ordinal.map(named('terminate', (n) => (w) => w.terminate(shardIdOf(n)))),
  ordinal.map(
    named('lose node', (n) => (w) => {
      w.lostNodes.add(shardIdOf(n));
      w.kill(shardIdOf(n));
    }),
  ),
  fc.tuple(ordinal, fc.constantFrom<'fail' | 'omit-one'>('fail', 'omit-one')).map(
    named('fault', ([n, fault]) => (w) => {
      w.faults.set(shardIdOf(n), fault);
    }),
  ),
  fc
    .constantFrom<HeldStep | undefined>('Preparation', 'Transfer', 'Verification', 'Cleanup', 'Releasing', undefined)
    .map(
      named('hold at', (held) => (w) => {
        w.holdAt = held;
      }),
    ),
  ordinal.map(
    named('unable', (n) => (w) => {
      w.unable.add(shardIdOf(n));
    }),
  ),
  ordinal.map(
    named('misjudge', (n) => (w) => {
      w.misjudged.add(shardIdOf(n));
    }),
  ),
  ordinal.map(
    named('hear again', (n) => (w) => {
      w.misjudged.delete(shardIdOf(n));
    }),
  ),
  ordinal.map(
    named('lose standby', (n) => (w) => {
      w.standbys.delete(shardIdOf(n));
      w.lostNodes.add(`${shardIdOf(n)}/standby`);
    }),
  ),
  fc.constantFrom(1, 2).map(named('replicas', (replicasPerShard) => (w) => w.configure({ replicasPerShard }))),
  fc.constantFrom(30_000, 3_600_000).map(
    named('the next leader is ahead by', (ms) => (w) => {
      w.now += ms;
    }),
  ),
  fc.constant(0).map(named('lose log', () => (w) => w.loseLog())),
);

function named<T>(name: string, make: (value: T) => Step): (value: T) => readonly [string, Step] {
  return (value) => [`${name} ${JSON.stringify(value)}`, make(value)];
}

const history = fc.array(step, { minLength: 1, maxLength: 25 });

/** Everything works again, and the user wants `shards`. */
function heal(world: Simulation): void {
  for (const pod of [...world.pods.values(), ...world.standbys.values()]) pod.frozen = false;
  world.lostNodes.clear();
  world.faults.clear();
  world.unable.clear();
  world.misjudged.clear();
  world.holdAt = undefined;
  world.configure({ mode: 'Manual' });
}

const fold = (world: Simulation): ShardConfigState =>
  world.log.reduce((state, { event, sequence }) => evolve(state, event, sequence), initialState);

describe('any history', () => {
  it('keeps every invariant at every decision, and ends complete and balanced once the faults are over', () => {
    fc.assert(
      fc.property(history, (steps) => {
        const world = new Simulation({
          onDecision: ({ state }) => {
            const broken = brokenInvariants(state);
            if (broken.length > 0) throw new Error(broken.join('\n'));
          },
        });
        for (const [, take] of steps) take(world);
        heal(world);
        // A rolling update whose deadline a clock has jumped over begins again after as long as that deadline.
        if (world.settle(2_000) === undefined) throw new Error(describeEnd(world));
        // What is told is news: the shell's comparison with the state agrees with the tables.
        expect(world.rejections.filter((text) => !text.startsWith('ConfigObserved'))).toEqual([]);
      }),
      { numRuns: 150 },
    );
  });

  it('folds from its stored events to the live state, and both survive JSON', () => {
    fc.assert(
      fc.property(history, (steps) => {
        const world = new Simulation();
        for (const [, take] of steps) take(world);
        const stored = world.log.map(({ event }) => JSON.parse(JSON.stringify(event)) as unknown);
        expect(stored.map((event) => shardEventSchema.parse(event))).toEqual(world.log.map(({ event }) => event));
        expect(fold(world)).toEqual(world.state);
        expect(JSON.parse(JSON.stringify(world.state))).toEqual(world.state);
      }),
      { numRuns: 40 },
    );
  });
});

function describeEnd({ state, pods, log }: Simulation): string {
  const { shards, migrations, rollout, backoffs, failover, desiredShards } = state;
  const slots = Object.fromEntries(Object.keys(shards).map((id) => [id, state.owners.filter((o) => o === id).length]));
  const seen = Object.fromEntries(
    [...pods].map(([id, pod]) => [
      id,
      `${pod.revision}/${pod.epoch}, exposes ${pod.exposed.size}${pod.frozen ? ', frozen' : ''}`,
    ]),
  );
  const last = log.slice(-12).map(({ event }) => JSON.stringify(event).slice(0, 200));
  return JSON.stringify({ desiredShards, slots, shards, migrations, rollout, backoffs, failover, seen, last }, null, 1);
}
