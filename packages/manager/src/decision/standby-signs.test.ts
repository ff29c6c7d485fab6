import type { Heartbeat } from '@shard-controller/shared/contracts';
import { describe, expect, it } from 'vitest';
import type { ShardConfigState } from '../aggregate/index.ts';
import { healthBounds, standbyCommand, type StandbySigns } from '../health-monitor/index.ts';
import { heartbeatOf } from '../testing/index.ts';
import { Simulation, testSettings } from './testing/simulation.ts';

const bounds = healthBounds(2_000);
const NOW = 1_000_000;
const [shardId, generation] = ['shard-000', 1];

function stateOf(change: Partial<ShardConfigState> = {}): ShardConfigState {
  const world = new Simulation({ settings: { ...testSettings, replicasPerShard: 2 } });
  world.settle();
  return { ...world.state, ...change };
}

const state = stateOf();
const epoch = state.shards[shardId]?.epoch ?? 0;

type Standby = Partial<StandbySigns['standby']> & { readonly says?: Partial<Heartbeat>; readonly silentMs?: number };

function signs(active: Partial<StandbySigns['active']> = {}, standby: Standby = {}): StandbySigns {
  const { says, silentMs = 300, ...over } = standby;
  return {
    active: {
      heartbeat: { at: NOW - 200, content: heartbeatOf({ generation, epoch }) },
      listeningSince: 0,
      unableSince: undefined,
      coldSince: undefined,
      standstillMs: 0,
      ping: 'none',
      pod: 'ready',
      instanceStatusAt: undefined,
      instanceReadAt: undefined,
      terminating: false,
      ...active,
    },
    standby: {
      heartbeat: { at: NOW - silentMs, content: heartbeatOf({ replica: 'b', generation, epoch, ...says }) },
      runningSince: 0,
      terminating: false,
      ...over,
    },
  };
}

const heard = (silentMs: number) => ({
  heartbeat: { at: NOW - silentMs, content: heartbeatOf({ generation, epoch }) },
});
const command = (given: StandbySigns, of = state) => standbyCommand(of, shardId, given, bounds, NOW);
const dead = { ...heard(1_500), ping: 'no-responders' } as const;

describe('a standby takes over', () => {
  it.each<[string, Partial<StandbySigns['active']>, Partial<StandbySigns['active']>]>([
    ['nobody answers its ping after one and a half heartbeats', dead, { ...dead, ...heard(1_499) }],
    ['its pod is gone', { ...heard(1_500), pod: 'deleted' }, { pod: 'deleted' }],
    ['its container has ended', { ...heard(1_500), pod: 'terminated' }, { pod: 'terminated' }],
    [
      'it stalls for longer than its own stall guard can overlook',
      { ...heard(4_000), ping: 'unanswered' },
      { ...heard(3_999), ping: 'unanswered' },
    ],
    [
      'its pod is not ready and it is silent for as long',
      { ...heard(4_000), pod: 'not-ready' },
      { ...heard(3_999), pod: 'not-ready' },
    ],
    ['it is heard but not ready to serve', { coldSince: NOW - 1_500 }, { coldSince: NOW - 1_499 }],
  ])('when %s, and not a moment sooner', (_, enough, tooLittle) => {
    expect(command(signs(enough))?.observation.active).toEqual({ lost: true, terminating: false });
    expect(command(signs(tooLittle))).toBeUndefined();
  });

  it('from a worker that terminates, at once', () => {
    expect(command(signs({ terminating: true }))?.observation.active).toEqual({ lost: false, terminating: true });
  });

  it('never from one that serves, and never for silence alone', () => {
    expect(command(signs())).toBeUndefined();
    expect(command(signs(heard(3_600_000)))).toBeUndefined();
  });

  it('says what it rests on', () => {
    expect(command(signs(dead))?.observation.evidence).toEqual(['silent for 1.5 s', 'ping: no responders']);
  });

  it('waits longer after an outage of NATS, when not all workers are back at the same moment', () => {
    const returning = { ...dead, ...heard(60_000), listeningSince: NOW - 3_999 };
    expect(command(signs(returning))).toBeUndefined();
    expect(command(signs({ ...returning, listeningSince: NOW - 4_000 }))).toBeDefined();
  });

  it('does not compete with one that loads as well and is done a little later', () => {
    expect(command(signs({ coldSince: NOW - 60_000 }, { runningSince: NOW - 1_499 }))).toBeUndefined();
  });

  it('from one whose exporter starts over only after the time for which that one holds scrapes back', () => {
    const { gateway } = heartbeatOf({});
    const content = heartbeatOf({ generation, epoch, gateway: { ...gateway, state: 'warming', startsOver: true } });
    const startingOver = { heartbeat: { at: NOW - 200, content } };
    expect(command(signs({ ...startingOver, coldSince: NOW - 7_999 }))).toBeUndefined();
    expect(command(signs({ ...startingOver, coldSince: NOW - 8_000 }))).toBeDefined();
  });

  it('from one that is late at a start, but not because it was not heard yet', () => {
    const shard = state.shards[shardId];
    const starting = stateOf({
      shards: { ...state.shards, ...(shard && { [shardId]: { ...shard, health: 'Pending' } }) },
    });
    const unheard = { heartbeat: undefined, ping: 'no-responders', pod: 'not-ready' } as const;
    expect(command(signs(unheard, { runningSince: NOW - 9_999 }), starting)).toBeUndefined();
    expect(command(signs(unheard, { runningSince: NOW - 10_000 }), starting)).toBeDefined();
    expect(command(signs({}, { runningSince: NOW - 10_000 }), starting)).toBeUndefined();
    expect(command(signs(unheard, { runningSince: NOW - 9_999 }))).toBeDefined();
  });

  it('from an outdated worker once it is renewed itself', () => {
    const rolled = stateOf({ revision: 'r2' });
    expect(command(signs({}, { says: { revision: 'r1' } }), rolled)).toBeUndefined();
    expect(command(signs({}, { says: { revision: 'r2' } }), rolled)).toBeDefined();
  });
});

describe('a standby does not take over', () => {
  it.each<[string, Standby]>([
    ['while it is silent itself', { silentMs: 2_000 }],
    ['while it terminates itself', { terminating: true }],
    ['before it shows everything', { says: { phase: 'Warming' }, runningSince: undefined }],
    ['without its exporter', { says: { exporter: { state: 'unreachable', since: 0 } } }],
    ['under an older assignment', { says: { epoch: epoch - 1 } }],
    ['under an older log', { says: { generation: generation - 1 } }],
    [
      'with objects that nobody has proved for long',
      { says: { feeds: { synced: 1, total: 1, oldestProofMs: 15_000 } } },
    ],
    ['when it was never heard', { heartbeat: undefined }],
    ['when it serves already', { says: { replica: 'a' } }],
  ])('%s', (_, standby) => {
    expect(command(signs(dead))).toBeDefined();
    expect(command(signs(dead, standby))).toBeUndefined();
  });

  it('where there should be none', () => {
    const settings = { ...testSettings, replicasPerShard: 1 };
    expect(command(signs(dead), stateOf({ settings }))).toBeUndefined();
  });
});
