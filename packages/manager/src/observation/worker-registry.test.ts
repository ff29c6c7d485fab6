import type { Heartbeat, WorkerAddress } from '@shard-controller/shared/contracts';
import { describe, expect, it } from 'vitest';
import { heartbeatOf } from '../testing/index.ts';
import { WorkerRegistry } from './worker-registry.ts';

const address: WorkerAddress = { namespace: 'monitoring', config: 'main', shardId: 'shard-001', replica: 'a' };
const beat = (over: Partial<Heartbeat> = {}): Heartbeat =>
  heartbeatOf({ shardId: 'shard-001', pod: 'main-a-1', ...over });

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

  it('never hears a process again once its successor is known to the API server', () => {
    const registry = new WorkerRegistry();
    registry.heard(address, beat({ boot: 'old', sequence: 50 }), 0);
    expect(registry.heard(address, beat({ boot: 'new', sequence: 1 }), 10, { boot: 'new', at: 5 })).toBe('news');
    expect(registry.heard(address, beat({ boot: 'old', sequence: 51 }), 20, { boot: 'new', at: 5 })).toBe('stale');
    expect(registry.heard(address, beat({ boot: 'old', sequence: 52 }), 60_000)).toBe('stale');
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
    const next = { boot: 'next', at: 250 };
    registry.heard(address, beat({ boot: 'next', sequence: 1, ...unable }), 300, next);
    expect(registry.view(address, 'uid-1')?.unableSince).toBe(300);
    registry.heard(address, beat({ boot: 'next', sequence: 2 }), 400, next);
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
    registry.heard(address, beat({ boot: 'next', sequence: 1, ...gateway('warming') }), 500, { boot: 'next', at: 450 });
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

  describe('and a process that nobody knows', () => {
    /** A worker that beats once a second, and what it has written to the API server, from 0 to `untilMs`. */
    function beating(registry: WorkerRegistry, untilMs: number, word: 'real' | 'none' = 'real') {
      for (let now = 0; now < untilMs; now += 1000) {
        const said = word === 'real' ? { boot: 'real', at: now - (now % 10_000) } : undefined;
        registry.heard(address, beat({ boot: 'real', sequence: now / 1000 + 1, epoch: 9 }), now, said);
      }
    }
    const boot = (registry: WorkerRegistry) => registry.view(address, 'uid-1')?.heartbeat.boot;

    it.each(['real', 'none'] as const)('does not let it speak for the worker that is there (word: %s)', (word) => {
      const registry = new WorkerRegistry();
      beating(registry, 20_000, word);
      const said = word === 'real' ? { boot: 'real', at: 19_000 } : undefined;
      expect(registry.heard(address, beat({ boot: 'forged', sequence: 1 }), 19_500, said)).toBe('rival');
      expect(registry.heard(address, beat({ boot: 'real', sequence: 21 }), 20_000, said)).not.toBe('stale');
      expect(boot(registry)).toBe('real');
      expect(registry.rivalSince(address, 20_000)).toBe(19_500);
      expect(registry.rivalSince(address, 40_000)).toBeUndefined();
    });

    it('hears the worker at once that it had lost sight of, whoever spoke for it meanwhile', () => {
      const registry = new WorkerRegistry();
      beating(registry, 10_000, 'none');
      expect(registry.heard(address, beat({ boot: 'forged', sequence: Number.MAX_SAFE_INTEGER }), 15_000)).toBe('news');
      expect(boot(registry)).toBe('forged');
      const word = { boot: 'real', at: 15_200 };
      expect(registry.heard(address, beat({ boot: 'real', sequence: 20 }), 15_500, word)).toBe('news');
      expect(registry.heard(address, beat({ boot: 'forged', sequence: 1 }), 15_600, word)).toBe('stale');
      expect(boot(registry)).toBe('real');
    });

    it('does not let one that is heard first after a start of the manager speak for the one that writes', () => {
      const registry = new WorkerRegistry();
      expect(registry.heard(address, beat({ boot: 'forged' }), 100, { boot: 'real', at: 0 })).toBe('rival');
      expect(registry.view(address, 'uid-1')).toBeUndefined();
      expect(registry.heard(address, beat({ boot: 'real' }), 200, { boot: 'real', at: 0 })).toBe('news');
    });

    it('takes up a process that was started again when it writes, or when the one before is silent and writes no more', () => {
      const registry = new WorkerRegistry();
      beating(registry, 10_000);
      expect(registry.heard(address, beat({ boot: 'next' }), 10_500, { boot: 'real', at: 9_000 })).toBe('rival');
      expect(registry.heard(address, beat({ boot: 'next' }), 11_500, { boot: 'next', at: 11_000 })).toBe('news');
      const silent = new WorkerRegistry();
      beating(silent, 10_000);
      expect(silent.heard(address, beat({ boot: 'next' }), 30_000, { boot: 'real', at: 9_000 })).toBe('news');
    });

    it('is not deafened by a huge count under the name of the worker’s own process', () => {
      const registry = new WorkerRegistry();
      beating(registry, 10_000);
      expect(registry.heard(address, beat({ boot: 'real', sequence: Number.MAX_SAFE_INTEGER }), 9_500)).toBe('news');
      const outcomes = [11, 12, 13, 14].map((sequence) =>
        registry.heard(address, beat({ boot: 'real', sequence, epoch: 10 }), sequence * 1000),
      );
      expect(outcomes).toEqual(['stale', 'stale', 'corrected', 'same']);
      expect(registry.view(address, 'uid-1')).toMatchObject({
        heardAt: 14_000,
        heartbeat: { sequence: 14, epoch: 10 },
      });
    });

    it('does not take a few late messages for a count of its own', () => {
      const registry = new WorkerRegistry();
      registry.heard(address, beat({ sequence: 100 }), 0);
      for (const [sequence, at] of [
        [7, 1],
        [8, 2],
        [9, 3],
        [10, 4],
      ] as const) {
        expect(registry.heard(address, beat({ sequence }), at)).toBe('stale');
      }
      expect(registry.heard(address, beat({ sequence: 101 }), 1000)).toBe('same');
    });

    it('hears no pod but the one of the worker’s name', () => {
      expect(new WorkerRegistry().heard(address, beat({ pod: 'other-1' }), 0)).toBe('foreign');
    });
  });
});
