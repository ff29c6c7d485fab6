import type { Heartbeat } from '@shard-controller/shared/contracts';
import { describe, expect, it } from 'vitest';
import { canServe, classify, healthBounds, type ShardSignals } from './classification.ts';

const bounds = healthBounds(2_000);
const NOW = 1_000_000;

function heartbeat(change: Partial<Heartbeat> = {}): Heartbeat {
  return {
    v: 'shard.heartbeat.v1',
    uid: 'uid-1',
    shardId: 'shard-000',
    replica: 'a',
    pod: 'main-a-0',
    node: 'node-1',
    boot: 'b1',
    sequence: 7,
    sentAt: 5,
    revision: 'r1',
    phase: 'Running',
    generation: 1,
    epoch: 3,
    feeds: { synced: 3, total: 3, oldestProofMs: 100 },
    exporter: { state: 'running', since: 1 },
    gateway: { state: 'serving', reason: '', scrapers: [] },
    slots: { assigned: 128, acknowledged: 128 },
    load: {
      objects: 10,
      expositionBytes: 1,
      memoryBytes: 1,
      scrapeDurationMs: 1,
      queueDepth: 0,
      objectsByResource: {},
    },
    handovers: [],
    ...change,
  };
}

/** Signals of a worker that was last heard `silentMs` ago. */
function signals(silentMs: number, change: Partial<ShardSignals> = {}): ShardSignals {
  return {
    heartbeat: { at: NOW - silentMs, content: heartbeat() },
    hearingSince: 0,
    unableSince: undefined,
    coldSince: undefined,
    standstillMs: 0,
    ping: 'none',
    pod: 'ready',
    instanceStatusAt: undefined,
    ...change,
  };
}

const healthOf = (given: ShardSignals, previous: Parameters<typeof classify>[1] = 'Healthy'): string =>
  classify(given, previous, bounds, NOW).health;

describe('classify', () => {
  it('calls a worker Healthy while its heartbeats come', () => {
    expect(healthOf(signals(1_900))).toBe('Healthy');
  });

  it('calls a silent worker Suspect, and never Failed for its silence alone', () => {
    expect(healthOf(signals(2_000))).toBe('Suspect');
    expect(healthOf(signals(3_600_000))).toBe('Suspect');
  });

  it.each([
    ['nobody answers its ping', { ping: 'no-responders' }],
    ['its pod is deleted', { pod: 'deleted' }],
    ['its container has terminated', { pod: 'terminated' }],
    ['its pod is not ready', { pod: 'not-ready' }],
  ] as const)('calls it Failed after two intervals when %s as well', (_, change) => {
    expect(healthOf(signals(3_999, change))).toBe('Suspect');
    expect(healthOf(signals(4_000, change))).toBe('Failed');
  });

  it('takes a ShardInstance status as old as the heartbeat for the second signal', () => {
    expect(healthOf(signals(12_000, { instanceStatusAt: NOW - 11_900 }))).toBe('Suspect');
    expect(healthOf(signals(12_000, { instanceStatusAt: NOW - 12_000 }))).toBe('Failed');
  });

  it('does not call a worker Failed that still writes its ShardInstance status: it lost NATS, not its life', () => {
    expect(healthOf(signals(8_000, { ping: 'no-responders', instanceStatusAt: NOW - 1_000 }))).toBe('Suspect');
  });

  it('counts silence from the moment this manager could hear', () => {
    const dead = { ping: 'no-responders', pod: 'deleted' } as const;
    expect(healthOf(signals(60_000, { ...dead, hearingSince: NOW - 3_999 }))).toBe('Suspect');
    expect(healthOf(signals(60_000, { ...dead, hearingSince: NOW - 1_000 }))).toBe('Healthy');
    expect(healthOf(signals(60_000, { ...dead, hearingSince: NOW - 4_000 }))).toBe('Failed');
  });

  it('finds a shard of the log Failed that a new manager never hears', () => {
    const never = signals(0, { heartbeat: undefined, hearingSince: NOW - 5_000, pod: 'deleted' });
    expect(healthOf(never)).toBe('Failed');
    expect(healthOf({ ...never, pod: 'unknown' })).toBe('Suspect');
    expect(healthOf(never, 'Pending')).toBe('Starting');
  });

  it('keeps a failed shard Failed while it is silent, and hears it again', () => {
    expect(healthOf(signals(5_000), 'Failed')).toBe('Failed');
    expect(healthOf(signals(500), 'Failed')).toBe('Healthy');
  });

  it('forgives a short exporter restart and calls a long one Starting', () => {
    const content = heartbeat({ phase: 'Warming', exporter: { state: 'unreachable', since: 1 } });
    const down = (ms: number): ShardSignals => signals(0, { heartbeat: { at: NOW, content }, unableSince: NOW - ms });
    expect(healthOf(down(3_999))).toBe('Healthy');
    expect(healthOf(down(4_000))).toBe('Starting');
    expect(healthOf(down(0), 'Pending')).toBe('Starting');
  });

  it('calls a worker Healthy while its exporter loads, and Starting once nothing was loaded for ten seconds', () => {
    const content = heartbeat({ phase: 'Warming', slots: { assigned: 128, acknowledged: 0, shown: 0 } });
    const loading = (standstillMs: number): ShardSignals =>
      signals(0, { heartbeat: { at: NOW, content }, standstillMs });
    expect(healthOf(loading(9_999))).toBe('Healthy');
    expect(classify(loading(10_000), 'Healthy', bounds, NOW)).toEqual({
      health: 'Starting',
      evidence: ['phase Warming, exporter running', 'nothing loaded for 10 s'],
    });
  });

  it('does not count the wait of a worker that cannot say what its exporter has kept', () => {
    const content = heartbeat({ phase: 'Warming', slots: { assigned: 128, acknowledged: 0 } });
    expect(healthOf(signals(0, { heartbeat: { at: NOW, content }, standstillMs: 15_000 }))).toBe('Healthy');
  });

  it('says what it saw', () => {
    expect(classify(signals(4_100, { ping: 'no-responders' }), 'Suspect', bounds, NOW).evidence).toEqual([
      'silent for 4.1 s',
      'ping: no responders',
    ]);
  });
});

describe('canServe', () => {
  it.each([
    ['Running', 'running', true],
    ['Running', 'unreachable', false],
    ['Draining', 'running', true],
    ['Warming', 'running', true],
    ['Warming', 'starting', false],
    ['Pending', 'running', false],
    ['Failed', 'running', false],
  ] as const)('phase %s with exporter %s: %s', (phase, state, expected) => {
    expect(canServe(heartbeat({ phase, exporter: { state, since: 0 } }))).toBe(expected);
  });
});
