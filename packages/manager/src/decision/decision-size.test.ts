import { assignmentMessage, verifyRequestSchema } from '@shard-controller/shared/contracts';
import { slotsToText } from '@shard-controller/shared/hashing';
import { encodeMessage, fitsMessage } from '@shard-controller/shared/nats';
import { describe, expect, it } from 'vitest';
import {
  type CommandBody,
  defaultSettings,
  evolve,
  initialState,
  type ShardConfigState,
  type ShardEvent,
  shardEventSchema,
  shardIdOf,
} from '../aggregate/index.ts';
import { decide, desired } from './index.ts';
import { inParts } from '../event-log/decision-parts.ts';
import { DECISION_V1, decisionSchema } from '../event-log/decision.ts';
import { EventCodec } from '../event-log/event-codec.ts';

const codec = new EventCodec(shardEventSchema);
const SLOTS = 4096;
/** Odd, so that dealing lost slots in turn makes as many pairs of shards as there are slots. */
const SHARDS = 121;
/** As many as a ShardConfig may want. */
const MOST_SHARDS = 1000;

/** Encodes a decision as the log does; returns the number of messages. @throws MessageTooLargeError */
function encode(events: readonly ShardEvent[]): number {
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
  const messages = fitsMessage(stored) ? [stored] : inParts(stored);
  for (const message of messages) encodeMessage('test', message);
  return messages.length;
}

/** What the manager says to workers about this state. @throws MessageTooLargeError */
function tellWorkers(state: ShardConfigState): void {
  for (const assignment of desired(state).assignments) encodeMessage('test', assignmentMessage(assignment));
  for (const { id, slots } of Object.values(state.migrations)) {
    const question = { ask: 'kinds', after: 'k'.repeat(120) } as const;
    const request = {
      v: 'shard.verify.v2',
      uid: 'u',
      migration: id,
      slots: slotsToText(slots),
      slotCount: SLOTS,
      question,
    };
    encodeMessage('test', verifyRequestSchema.parse(request));
  }
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
    tellWorkers(state);
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

describe('at the limits of a ShardConfig', () => {
  const many = Array.from({ length: MOST_SHARDS }, (_, ordinal) => shardIdOf(ordinal));
  const identity = { uid: 'u'.repeat(64), namespace: 'n'.repeat(63), name: 'c'.repeat(40), specGeneration: 1 };

  it.each(['round-robin', 'least-loaded'])(
    '%s: two shards whose 2,048 slots each are as scattered as they can be move them',
    (strategy) => {
      const settings = { ...defaultSettings, slotCount: SLOTS, strategy, minShards: 3, maxShards: 3 };
      const slotsOf = (n: number): number[] => Array.from({ length: SLOTS / 2 }, (_, i) => 2 * i + n);
      const state = fold(initialState, [
        { type: 'shard.config.accepted.v1', at: 0, ...identity, settings, revision: 'r1' },
        { type: 'shard.scaled.v1', at: 0, from: 0, to: 3, trigger: 'initial', reason: 'first' },
        ...many.slice(0, 3).map((shardId) => becomes(shardId, 'Healthy', 0)),
        {
          type: 'shard.slots.assigned.v1',
          at: 0,
          cause: 'cold-start',
          moves: [0, 1].map((n) => ({ from: null, to: shardIdOf(n), slots: slotsOf(n) })),
          releases: [],
          reason: 'first',
        },
      ]);
      tellWorkers(state);
      const moving = Object.values(decideAll(state, 100_000).migrations);
      expect(moving.length).toBeGreaterThan(0);
    },
    20_000,
  );

  it('1,000 shards get their first slots, dealt in turn', () => {
    const settings = { ...defaultSettings, slotCount: SLOTS, strategy: 'round-robin', minShards: 1, maxShards: 1000 };
    const state = fold(initialState, [
      { type: 'shard.config.accepted.v1', at: 0, ...identity, settings, revision: 'r1' },
      { type: 'shard.scaled.v1', at: 0, from: 0, to: MOST_SHARDS, trigger: 'initial', reason: 'first' },
      ...many.map((shardId) => becomes(shardId, 'Healthy', 0)),
    ]);
    const decision = decide(state, { type: 'Tick', now: 100_000, objects: {} });
    if (decision.kind === 'rejected') throw new Error(decision.reason);
    encode(decision.events);
    const dealt = fold(state, decision.events);
    tellWorkers(dealt);
    expect(new Set(dealt.owners).size).toBeGreaterThan(MOST_SHARDS / 2);
  }, 60_000);

  it('a lost log is rebuilt from 1,001 ShardInstances with scattered slots, and what they may still show', () => {
    const settings = { ...defaultSettings, slotCount: SLOTS, minShards: 1, maxShards: 1000 };
    const instances = [...many, shardIdOf(MOST_SHARDS)].map((shardId, n) => ({
      shardId,
      generation: 1,
      epoch: 1_000_000 + n,
      active: 'b' as const,
      owned: Array.from({ length: SLOTS }, (_, slot) => slot).filter((slot) => slot % (MOST_SHARDS + 1) === n),
      keeping: [],
      releasing: Array.from({ length: 200 }, (_, i) => (n + i * 20 + 7) % SLOTS),
    }));
    const config = { ...identity, settings, revision: 'r1' };
    const command = { type: 'LogLost', config, generation: 2, instances, reason: 'lost', now: 1, objects: {} } as const;
    const decision = decide(initialState, command);
    if (decision.kind === 'rejected') throw new Error(decision.reason);
    expect(encode(decision.events)).toBeGreaterThan(1);
    const state = fold(initialState, decision.events);
    expect(state.owners.filter((owner) => owner === null)).toEqual([]);
    tellWorkers(state);
  }, 30_000);
});
