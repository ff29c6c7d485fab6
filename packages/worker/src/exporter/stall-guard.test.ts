import { ManualClock, settle } from '@shard-controller/shared/testing';
import { describe, expect, it, vi } from 'vitest';
import { StallGuard } from './stall-guard.ts';

function guarded(confirm: (signal: AbortSignal) => Promise<void>, limitMs?: () => number | undefined) {
  const clock = new ManualClock();
  const onStall = vi.fn();
  const onOpen = vi.fn();
  const guard = new StallGuard({ clock, confirm, onStall, onOpen, ...(limitMs === undefined ? {} : { limitMs }) });
  const stop = new AbortController();
  const done = guard.run(stop.signal);
  return { clock, guard, onStall, onOpen, end: async () => (stop.abort(), await done) };
}

describe('the stall guard', () => {
  it('stays open while time passes evenly', async () => {
    const { clock, guard, end } = guarded(() => Promise.reject(new Error('must not be asked')));
    for (let i = 0; i < 20; i++) {
      await clock.advance(500);
      expect(guard.closed()).toBe(false);
    }
    await end();
  });

  it('is closed for whoever asks first after a freeze, before any timer could run', async () => {
    const { clock, guard, onStall, end } = guarded(() => new Promise(() => undefined));
    await clock.advance(1000);
    clock.freeze(3500);
    expect(guard.closed()).toBe(true);
    expect(onStall).toHaveBeenCalledOnce();
    await end();
  });

  it('opens as soon as the assignment was read again', async () => {
    const read = Promise.withResolvers<void>();
    const { clock, guard, onOpen, end } = guarded(() => read.promise);
    clock.freeze(10_000);
    expect(guard.closed()).toBe(true);
    await clock.advance(300);
    expect(guard.closed()).toBe(true);
    read.resolve();
    await settle();
    expect(guard.closed()).toBe(false);
    expect(onOpen).toHaveBeenCalledWith(expect.objectContaining({ confirmed: true }));
    await end();
  });

  it('stays closed without a limit until something answers', async () => {
    let answers = false;
    const confirm = () => (answers ? Promise.resolve() : Promise.reject(new Error('connection refused')));
    const { clock, guard, onOpen, end } = guarded(confirm, () => undefined);
    clock.freeze(60_000);
    expect(guard.closed()).toBe(true);
    for (let i = 0; i < 30; i++) await clock.advance(1000);
    expect(guard.closed()).toBe(true);
    answers = true;
    await clock.advance(200);
    expect(guard.closed()).toBe(false);
    expect(onOpen).toHaveBeenCalledExactlyOnceWith(expect.objectContaining({ confirmed: true }));
    await end();
  });

  it('tries again while the read fails, and opens after 2 s when nothing answers', async () => {
    const confirm = vi.fn(() => Promise.reject(new Error('connection refused')));
    const { clock, guard, onOpen, end } = guarded(confirm);
    clock.freeze(5000);
    expect(guard.closed()).toBe(true);
    await clock.advance(1900);
    expect(guard.closed()).toBe(true);
    expect(confirm.mock.calls.length).toBeGreaterThan(5);
    await clock.advance(200);
    expect(guard.closed()).toBe(false);
    expect(onOpen).toHaveBeenCalledExactlyOnceWith(expect.objectContaining({ confirmed: false }));
    await end();
  });

  it('takes a jump of the wall clock for a stall: the machine has slept', async () => {
    const { clock, guard, end } = guarded(() => new Promise(() => undefined));
    clock.shiftWall(3500);
    expect(guard.closed()).toBe(true);
    await end();
  });

  it('starts over when it stalls again while it is closed', async () => {
    const reads = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    let asked = 0;
    const { clock, guard, onOpen, end } = guarded(() => reads[asked++]?.promise ?? Promise.resolve());
    clock.freeze(4000);
    expect(guard.closed()).toBe(true);
    await settle();
    clock.freeze(4000);
    expect(guard.closed()).toBe(true);
    reads[0]?.resolve();
    await settle();
    expect(guard.closed()).toBe(true);
    reads[1]?.resolve();
    await settle();
    expect(guard.closed()).toBe(false);
    expect(onOpen).toHaveBeenCalledOnce();
    expect(guard.stalls).toBe(2);
    await end();
  });
});
