import { elapse } from '../testing/index.ts';
import { describe, expect, it } from 'vitest';
import { Semaphore } from './semaphore.ts';

describe('Semaphore', () => {
  it('runs no more than its limit at a time, in the order of their coming', async () => {
    const semaphore = new Semaphore(2);
    const log: string[] = [];
    const gates = ['a', 'b', 'c', 'd'].map((name) => ({ name, ...Promise.withResolvers<void>() }));
    const runs = gates.map(({ name, promise }) =>
      semaphore.run(async () => {
        log.push(name);
        await promise;
      }),
    );
    await expect.poll(() => log).toEqual(['a', 'b']);
    gates[1]?.resolve();
    await expect.poll(() => log).toEqual(['a', 'b', 'c']);
    for (const { resolve } of gates) resolve();
    await Promise.all(runs);
    expect([log.at(-1), semaphore.held]).toEqual(['d', 0]);
  });

  it('passes the turn on after a failure', async () => {
    const semaphore = new Semaphore(1);
    await expect(semaphore.run(() => Promise.reject(new Error('broken')))).rejects.toThrow('broken');
    await expect(semaphore.run(() => Promise.resolve('next'))).resolves.toBe('next');
  });

  it('does not give a turn to who has given up', async () => {
    const semaphore = new Semaphore(1);
    const gone = new AbortController();
    expect(await semaphore.enter()).toBe(true);
    const late = semaphore.enter(1);
    const aborted = semaphore.enter(undefined, gone.signal);
    const patient = semaphore.enter();
    gone.abort();
    expect([await late, await aborted]).toEqual([false, false]);
    semaphore.leave();
    expect(await patient).toBe(true);
    await elapse(1);
    expect(semaphore.held).toBe(1);
  });
});
