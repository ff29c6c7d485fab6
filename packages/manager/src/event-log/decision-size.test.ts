import { encodeMessage } from '@shard-controller/shared/nats';
import { describe, expect, it } from 'vitest';
import {
  type CommandBody,
  decide,
  defaultSettings,
  evolve,
  initialState,
  type ShardConfigState,
  type ShardEvent,
  shardEventSchema,
  shardIdOf,
} from '../aggregate/index.ts';
import { DECISION_V1, decisionSchema } from './decision.ts';
import { EventCodec } from './event-codec.ts';

const codec = new EventCodec(shardEventSchema);
const SLOTS = 4096;
/** Odd, so that dealing lost slots in turn makes as many pairs of shards as there are slots. */
const SHARDS = 121;

/** Encodes a decision as the log does. @throws MessageTooLargeError */
function encode(events: readonly ShardEvent[]): void {
  const stored = decisionSchema.parse({
    v: DECISION_V1,
    id: 'd'.repeat(36),
    at: 1_763_000_000_000,
    manager: { identity: 'm'.repeat(100), term: 1 },
    generation: 1,
    stream: 's'.repeat(64),
    command: 'c'.repeat(500),
    reason: 'r'.repeat(500),
    events: events.map((event) => codec.encode(event, { subject: 'test' })),
  });
  encodeMessage('test', stored);
}

const fold = (state: ShardConfigState, events: readonly ShardEvent[]): ShardConfigState =>
  events.reduce((folded, event) => evolve(folded, event, state.sequence + 1), state);

const shards = Array.from({ length: SHARDS }, (_, ordinal) => shardIdOf(ordinal));

const becomes = (shardId: string, to: 'Healthy' | 'Failed', at: number): ShardEvent => {
  return { type: 'shard.health.changed.v1', at, shardId, from: 'Suspect', to, evidence: ['told'] };
};

/** A fleet whose slots belong to the shards before `owning`, scattered as far as they can be. */
function fleet(strategy: string, owning: number): ShardConfigState {
  const settings = { ...defaultSettings, slotCount: SLOTS, strategy, minShards: SHARDS, maxShards: SHARDS };
  const identity = { uid: 'uid-1', namespace: 'monitoring', name: 'main' };
  const slotsOf = (n: number): number[] =>
    Array.from({ length: SLOTS }, (_, slot) => slot).filter((s) => s % owning === n);
  return fold(initialState, [
    { type: 'shard.config.accepted.v1', at: 0, ...identity, specGeneration: 1, settings, revision: 'r1' },
    { type: 'shard.scaled.v1', at: 0, from: 0, to: SHARDS, trigger: 'initial', reason: 'first' },
    ...shards.map((shardId) => becomes(shardId, 'Healthy', 0)),
    {
      type: 'shard.slots.assigned.v1',
      at: 0,
      cause: 'cold-start',
      moves: shards.slice(0, owning).map((to, n) => ({ from: null, to, slots: slotsOf(n) })),
      releases: [],
      reason: 'first',
    },
  ]);
}

/** Ticks until nothing more follows; every decision has to fit into a message. */
function decideAll(from: ShardConfigState, now: number): ShardConfigState {
  const tick: CommandBody = { type: 'Tick' };
  let state = from;
  for (let i = 0; i < 50; i++) {
    const decision = decide(state, { ...tick, now, objects: {} });
    if (decision.kind === 'rejected') throw new Error(decision.reason);
    if (decision.events.length === 0) return state;
    encode(decision.events);
    state = fold(state, decision.events);
  }
  throw new Error('it goes on for ever');
}

describe('a decision about a large fleet fits into a message', () => {
  it.each(['consistent-hash', 'round-robin'])(
    '%s: the number of shards was doubled',
    (strategy) => {
      const state = decideAll(fleet(strategy, (SHARDS - 1) / 2), 100_000);
      expect(Object.keys(state.migrations).length).toBeGreaterThan(50);
    },
    20_000,
  );

  it.each(['consistent-hash', 'round-robin'])(
    '%s: half of the shards are lost, one by one',
    (strategy) => {
      const lost = shards.filter((_, ordinal) => ordinal % 2 === 0);
      const state = fold(
        fleet(strategy, SHARDS),
        lost.map((shardId, i) => becomes(shardId, 'Failed', i * 60_000)),
      );
      const after = decideAll(state, lost.length * 60_000 + 1);
      expect(after.owners.filter((owner) => owner === null || lost.includes(owner))).toEqual([]);
    },
    20_000,
  );
});
