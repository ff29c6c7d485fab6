import { describe, expect, it } from 'vitest';
import { heartbeatOf } from '../testing/index.ts';
import { canServe, classify, healthBounds, needsInstanceRead, type ShardSigns } from './classification.ts';

const bounds = healthBounds(2_000);
const NOW = 1_000_000;

/** Signs of a worker that was last heard `silentMs` ago. */
function signs(silentMs: number, change: Partial<ShardSigns> = {}): ShardSigns {
  return {
    heartbeat: { at: NOW - silentMs, content: heartbeatOf({}) },
    listeningSince: 0,
    unableSince: undefined,
    coldSince: undefined,
    standstillMs: 0,
    ping: 'none',
    pod: 'ready',
    instanceStatusAt: undefined,
    instanceReadAt: undefined,
    ...change,
  };
}

const healthOf = (given: ShardSigns, previous: Parameters<typeof classify>[1] = 'Healthy'): string =>
  classify(given, previous, bounds, NOW).health;

const healthAt = (given: ShardSigns, now: number): string => classify(given, 'Suspect', bounds, now).health;

describe('classify', () => {
  it('calls a worker Healthy while its heartbeats come', () => {
    expect(healthOf(signs(1_900))).toBe('Healthy');
  });

  it('calls a silent worker Suspect, and never Failed for its silence alone', () => {
    expect(healthOf(signs(2_000))).toBe('Suspect');
    expect(healthOf(signs(3_600_000))).toBe('Suspect');
  });

  it.each([
    ['its pod is deleted', { pod: 'deleted' }],
    ['its container has terminated', { pod: 'terminated' }],
    ['its pod is not ready', { pod: 'not-ready' }],
    ['its ShardInstance status is not renewed', { instanceStatusAt: NOW - 30_000, instanceReadAt: NOW }],
    ['it never wrote a ShardInstance status', { instanceReadAt: NOW }],
  ] as const)('calls it Failed after two intervals when %s as well', (_, change) => {
    expect(healthOf(signs(3_999, change))).toBe('Suspect');
    expect(healthOf(signs(4_000, change))).toBe('Failed');
  });

  it('never calls it Failed because nobody answers its ping: that is the same connection', () => {
    expect(healthOf(signs(3_600_000, { ping: 'no-responders' }))).toBe('Suspect');
    expect(healthOf(signs(3_600_000, { ping: 'unanswered' }))).toBe('Suspect');
  });

  it('takes no silence of the API server for evidence: only an answer of it', () => {
    const quiet = { ping: 'no-responders', instanceStatusAt: NOW - 3_600_000 } as const;
    expect(healthOf(signs(3_600_000, quiet))).toBe('Suspect');
    // It answered before the status could have been renewed, and not since.
    expect(healthOf(signs(60_000, { ...quiet, instanceReadAt: NOW - 56_001 }))).toBe('Suspect');
    expect(healthOf(signs(60_000, { ...quiet, instanceReadAt: NOW - 56_000 }))).toBe('Failed');
  });

  it('gives a status that was written after the last heartbeat its time', () => {
    const dead = (readAt: number) => ({ instanceStatusAt: NOW - 3_500, instanceReadAt: readAt });
    expect(healthOf(signs(4_000, dead(NOW)))).toBe('Suspect');
    expect(healthOf({ ...signs(4_000, dead(NOW + 499)) })).toBe('Suspect');
    expect(healthOf({ ...signs(4_000, dead(NOW + 500)) })).toBe('Failed');
  });

  it('is patient with a worker that is known to live without NATS, also while its pod is not ready', () => {
    const without = (silentMs: number, quietMs: number) =>
      signs(silentMs, {
        ping: 'no-responders',
        pod: 'not-ready',
        instanceStatusAt: NOW - quietMs,
        instanceReadAt: NOW,
      });
    expect(healthOf(without(3_600_000, 7_999))).toBe('Suspect');
    expect(healthOf(without(3_600_000, 8_000))).toBe('Failed');
    expect(classify(without(60_000, 1_000), 'Suspect', bounds, NOW).evidence).toEqual([
      'silent for 60.0 s',
      'ping: no responders',
      'it renews its ShardInstance status: it has lost NATS only',
    ]);
  });

  it('never fails a worker without NATS that renews its status every 2 s, in whatever phase that begins', () => {
    const failed: string[] = [];
    for (let writtenMs = 0; writtenMs < 10_000; writtenMs += 500) {
      for (let lateMs = 0; lateMs <= 2_000; lateMs += 500) {
        // The last heartbeat is heard at 0; the connection is lost up to a second later, and that is noticed later still.
        const renewedFrom = 1_000 + lateMs;
        for (let now = 0; now < 30_000; now += 250) {
          const renewals =
            now < renewedFrom ? undefined : renewedFrom + Math.floor((now - renewedFrom) / 2_000) * 2_000;
          const given = {
            ...signs(0, { ping: 'no-responders', instanceReadAt: NOW + now }),
            heartbeat: { at: NOW, content: heartbeatOf({}) },
            instanceStatusAt: NOW + (renewals ?? writtenMs - 10_000),
          };
          if (healthAt(given, NOW + now) === 'Failed') failed.push(`${writtenMs} ${lateMs} ${now}`);
        }
      }
    }
    expect(failed).toEqual([]);
  });

  it('counts silence from the moment this manager could hear', () => {
    const dead = { ping: 'no-responders', pod: 'deleted' } as const;
    expect(healthOf(signs(60_000, { ...dead, listeningSince: NOW - 3_999 }))).toBe('Suspect');
    expect(healthOf(signs(60_000, { ...dead, listeningSince: NOW - 1_000 }))).toBe('Healthy');
    expect(healthOf(signs(60_000, { ...dead, listeningSince: NOW - 4_000 }))).toBe('Failed');
  });

  it('finds a shard of the log Failed that a new manager never hears', () => {
    const never = signs(0, { heartbeat: undefined, listeningSince: NOW - 5_000, pod: 'deleted' });
    expect(healthOf(never)).toBe('Failed');
    expect(healthOf({ ...never, pod: 'unknown' })).toBe('Suspect');
    expect(healthOf(never, 'Pending')).toBe('Starting');
  });

  it('keeps a failed shard Failed while it is silent, and hears it again', () => {
    expect(healthOf(signs(5_000), 'Failed')).toBe('Failed');
    expect(healthOf(signs(500), 'Failed')).toBe('Healthy');
  });

  it('forgives a short exporter restart and calls a long one Starting', () => {
    const content = heartbeatOf({ phase: 'Warming', exporter: { state: 'unreachable', since: 1 } });
    const down = (ms: number): ShardSigns => signs(0, { heartbeat: { at: NOW, content }, unableSince: NOW - ms });
    expect(healthOf(down(3_999))).toBe('Healthy');
    expect(healthOf(down(4_000))).toBe('Starting');
    expect(healthOf(down(0), 'Pending')).toBe('Starting');
  });

  it('calls a worker Healthy while its exporter loads, and Starting once nothing was loaded for ten seconds', () => {
    const content = heartbeatOf({ phase: 'Warming', slots: { assigned: 128, acknowledged: 0, shown: 0 } });
    const loading = (standstillMs: number): ShardSigns => signs(0, { heartbeat: { at: NOW, content }, standstillMs });
    expect(healthOf(loading(9_999))).toBe('Healthy');
    expect(classify(loading(10_000), 'Healthy', bounds, NOW)).toEqual({
      health: 'Starting',
      evidence: ['phase Warming, exporter running', 'nothing loaded for 10 s'],
    });
  });

  it('does not count the wait of a worker that cannot say what its exporter has kept', () => {
    const content = heartbeatOf({ phase: 'Warming', slots: { assigned: 128, acknowledged: 0 } });
    expect(healthOf(signs(0, { heartbeat: { at: NOW, content }, standstillMs: 15_000 }))).toBe('Healthy');
  });

  it('says what it saw', () => {
    const dead = { ping: 'no-responders', instanceStatusAt: NOW - 9_000, instanceReadAt: NOW } as const;
    expect(classify(signs(4_100, dead), 'Suspect', bounds, NOW).evidence).toEqual([
      'silent for 4.1 s',
      'ping: no responders',
      'ShardInstance status not renewed for 4.1 s',
    ]);
  });
});

describe('needsInstanceRead', () => {
  const needs = (given: ShardSigns): boolean => needsInstanceRead(given, bounds, NOW);

  it('asks only for a worker that would be lost if its status was not renewed', () => {
    expect(needs(signs(3_999))).toBe(false);
    expect(needs(signs(4_000))).toBe(true);
    expect(needs(signs(4_000, { instanceStatusAt: NOW - 3_999 }))).toBe(false);
    expect(needs(signs(60_000, { instanceStatusAt: NOW - 7_999 }))).toBe(false);
    expect(needs(signs(60_000, { instanceStatusAt: NOW - 8_000 }))).toBe(true);
  });

  it('asks no more once it is known', () => {
    expect(needs(signs(5_000, { instanceReadAt: NOW - 900 }))).toBe(false);
    expect(needs(signs(5_000, { instanceReadAt: NOW - 1_100 }))).toBe(true);
    expect(needs(signs(5_000, { pod: 'deleted' }))).toBe(false);
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
    expect(canServe(heartbeatOf({ phase, exporter: { state, since: 0 } }))).toBe(expected);
  });
});
