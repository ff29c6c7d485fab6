import type { Heartbeat, WorkerAddress } from '@shard-controller/shared/contracts';
import { describe, expect, it } from 'vitest';
import { heartbeatOf } from './testing.ts';
import { WorkerRegistry } from './worker-registry.ts';

const address: WorkerAddress = { namespace: 'monitoring', config: 'main', shardId: 'shard-001', replica: 'a' };
const beat = (over: Partial<Heartbeat> = {}): Heartbeat => heartbeatOf({ shardId: 'shard-001', ...over });

describe('WorkerRegistry', () => {
  it('tells news from a mere beat, so that only news hurry', () => {
    const registry = new WorkerRegistry();
    expect(registry.heard(address, beat({ sequence: 1 }), 0)).toBe('news');
    expect(registry.heard(address, beat({ sequence: 2, sentAt: 99 }), 1000)).toBe('same');
    expect(registry.heard(address, beat({ sequence: 3, phase: 'Draining' }), 2000)).toBe('news');
    expect(registry.view(address, 'uid-1')?.heardAt).toBe(2000);
  });

  it('does not let a late message of the same process take back what it said since', () => {
    const registry = new WorkerRegistry();
    registry.heard(address, beat({ sequence: 7, epoch: 9 }), 0);
    expect(registry.heard(address, beat({ sequence: 6, epoch: 8 }), 10)).toBe('stale');
    expect(registry.view(address, 'uid-1')).toMatchObject({ heardAt: 0, heartbeat: { epoch: 9 } });
  });

  it('never hears a process again once its successor has spoken', () => {
    const registry = new WorkerRegistry();
    registry.heard(address, beat({ boot: 'old', sequence: 50 }), 0);
    expect(registry.heard(address, beat({ boot: 'new', sequence: 1 }), 10)).toBe('news');
    expect(registry.heard(address, beat({ boot: 'old', sequence: 51 }), 20)).toBe('stale');
    expect(registry.view(address, 'uid-1')?.heartbeat.boot).toBe('new');
  });

  it('shows a worker only to the ShardConfig it belongs to', () => {
    const registry = new WorkerRegistry();
    registry.heard(address, beat({ uid: 'uid-of-before' }), 0);
    expect(registry.view(address, 'uid-1')).toBeUndefined();
    registry.heard(address, beat(), 10);
    expect(registry.view(address, 'uid-1')?.heardAt).toBe(10);
  });

  it('keeps since when a worker cannot serve, for as long as it is the same process', () => {
    const registry = new WorkerRegistry();
    const unable = { exporter: { state: 'unreachable', since: 0 } } as const;
    registry.heard(address, beat({ sequence: 1 }), 0);
    registry.heard(address, beat({ sequence: 2, ...unable }), 100);
    registry.heard(address, beat({ sequence: 3, ...unable }), 200);
    expect(registry.view(address, 'uid-1')?.unableSince).toBe(100);
    registry.heard(address, beat({ boot: 'next', sequence: 1, ...unable }), 300);
    expect(registry.view(address, 'uid-1')?.unableSince).toBe(300);
    registry.heard(address, beat({ boot: 'next', sequence: 2 }), 400);
    expect(registry.view(address, 'uid-1')?.unableSince).toBeUndefined();
  });

  it('keeps since when a gateway refuses scrapes and since when a worker is Running; a standby refuses by order', () => {
    const registry = new WorkerRegistry();
    const gateway = (state: Heartbeat['gateway']['state']) => ({ gateway: { state, reason: '', scrapers: [] } });
    const view = () => registry.view(address, 'uid-1');
    registry.heard(address, beat({ sequence: 1, phase: 'Warming', ...gateway('warming') }), 100);
    registry.heard(address, beat({ sequence: 2, phase: 'Warming', ...gateway('fenced') }), 200);
    expect(view()).toMatchObject({ coldSince: 100, runningSince: undefined });
    registry.heard(address, beat({ sequence: 3, ...gateway('standby') }), 300);
    registry.heard(address, beat({ sequence: 4, ...gateway('serving') }), 400);
    expect(view()).toMatchObject({ coldSince: undefined, runningSince: 300 });
    registry.heard(address, beat({ boot: 'next', sequence: 1, ...gateway('warming') }), 500);
    expect(view()).toMatchObject({ coldSince: 500, runningSince: 500 });
  });

  it('does not take the last words of a removed worker for a sign of life of its successor', () => {
    const registry = new WorkerRegistry();
    registry.heard(address, beat({ boot: 'old', sequence: 5 }), 0);
    registry.removed(address);
    expect(registry.view(address, 'uid-1')).toBeUndefined();
    expect(registry.heard(address, beat({ boot: 'old', sequence: 6 }), 10)).toBe('stale');
    expect(registry.heard(address, beat({ boot: 'new', sequence: 1 }), 20)).toBe('news');
    expect(registry.view(address, 'uid-1')?.heartbeat.boot).toBe('new');
  });

  it('takes an unanswered ping back when the worker is heard', () => {
    const registry = new WorkerRegistry();
    expect(registry.pingFailed(address, 'unanswered')).toBe(true);
    expect(registry.pingFailed(address, 'no-responders')).toBe(true);
    expect(registry.pingFailed(address, 'no-responders')).toBe(false);
    expect(registry.ping(address)).toBe('no-responders');
    registry.heard(address, beat(), 0);
    expect(registry.ping(address)).toBe('none');
  });
});
