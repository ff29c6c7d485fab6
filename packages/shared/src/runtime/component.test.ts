import { setImmediate as tick } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { createLogger } from '../observability/index.ts';
import { type Component, ComponentError, runComponents, task } from './component.ts';

const logger = createLogger({ name: 'test', level: 'silent' });

/** Components that write down what happens to them. */
function recorder() {
  const events: string[] = [];
  const component = (name: string, more: Partial<Component> = {}): Component => ({
    name,
    start: async () => void events.push(`start ${name}`),
    stop: async () => void events.push(`stop ${name}`),
    ...more,
  });
  return { events, component };
}

async function failure(running: Promise<void>): Promise<ComponentError> {
  const error: unknown = await running.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (error instanceof ComponentError) return error;
  throw new Error(`expected a ComponentError, got ${String(error)}`);
}

describe('runComponents', () => {
  it('starts in order and, when the signal comes, stops in reverse', async () => {
    const { events, component } = recorder();
    const controller = new AbortController();
    const parts = [component('a'), component('b'), component('c')];
    const running = runComponents(parts, { signal: controller.signal, logger });
    await tick();
    expect(events).toEqual(['start a', 'start b', 'start c']);
    controller.abort();
    await running;
    expect(events.slice(3)).toEqual(['stop c', 'stop b', 'stop a']);
  });

  it('stops what was started when a later one cannot start, and names that one', async () => {
    const { events, component } = recorder();
    const parts = [
      component('a'),
      component('port', { start: () => Promise.reject(new Error('in use')) }),
      component('never'),
    ];
    const error = await failure(runComponents(parts, { signal: new AbortController().signal, logger }));
    expect(error).toMatchObject({ code: 'SC_COMPONENT_START', component: 'port' });
    expect(error.message).toBe('port did not start: in use');
    expect(events).toEqual(['start a', 'stop a']);
  });

  it('starts nothing more once the signal has come, and takes an aborted start for no failure', async () => {
    const { events, component } = recorder();
    const controller = new AbortController();
    const waiting = component('waiting', {
      start: (signal) =>
        new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(new Error('aborted')))),
    });
    const running = runComponents([component('a'), waiting, component('b')], { signal: controller.signal, logger });
    await tick();
    controller.abort();
    await running;
    expect(events).toEqual(['start a', 'stop a']);
  });

  it.each([
    ['fails', () => Promise.reject(new Error('lost')), 'loop failed: lost'],
    ['returns', () => Promise.resolve(), 'loop ended unexpectedly'],
  ])('ends everything when a task %s by itself', async (_how, run, message) => {
    const { events, component } = recorder();
    const signal = new AbortController().signal;
    const error = await failure(runComponents([component('a'), task('loop', run)], { signal, logger }));
    expect(error).toMatchObject({ code: 'SC_COMPONENT_ENDED', component: 'loop' });
    expect(error.message).toBe(message);
    expect(events).toEqual(['start a', 'stop a']);
  });

  it('aborts a task only when its turn to stop has come, and waits for it', async () => {
    const { events, component } = recorder();
    const controller = new AbortController();
    const loop = task('loop', async (signal) => {
      await new Promise((resolve) => signal.addEventListener('abort', resolve));
      await tick();
      events.push('loop done');
    });
    const running = runComponents([component('a'), loop, component('b')], { signal: controller.signal, logger });
    await tick();
    controller.abort();
    await running;
    expect(events).toEqual(['start a', 'start b', 'stop b', 'loop done', 'stop a']);
  });

  it('stops the others although one fails to, and says so', async () => {
    const { events, component } = recorder();
    const controller = new AbortController();
    const bad = component('bad', { stop: () => Promise.reject(new Error('stuck')) });
    const running = runComponents([component('a'), bad], { signal: controller.signal, logger });
    await tick();
    controller.abort();
    expect(await failure(running)).toMatchObject({ code: 'SC_COMPONENT_STOP', component: 'bad' });
    expect(events).toContain('stop a');
  });

  it('does not wait longer than the grace period for one that hangs', async () => {
    const { events, component } = recorder();
    const controller = new AbortController();
    const hanging = component('hanging', { stop: () => new Promise(() => undefined) });
    const running = runComponents([component('a'), hanging], { signal: controller.signal, logger, graceMs: 20 });
    await tick();
    controller.abort();
    const error = await failure(running);
    expect(error).toMatchObject({ code: 'SC_COMPONENT_STOP', component: 'hanging' });
    expect(error.message).toContain('within 20 ms');
    expect(events).toContain('stop a');
  });
});
