import { createServer, get } from 'node:http';
import { portOf } from '@shard-controller/shared/listening';
import { createLogger } from '@shard-controller/shared/observability';
import { systemClock } from '@shard-controller/shared/runtime';
import { elapse, PATIENCE_MS } from '@shard-controller/shared/testing';
import { afterEach, expect, it } from 'vitest';
import { ChangeNotifier } from './change-notifier.ts';
import { Drain } from './drain.ts';

const ends: (() => void)[] = [];
afterEach(() => {
  for (const end of ends.splice(0)) end();
});

function draining(slots: { left: number; over?: string }, timeoutMs = 10 * PATIENCE_MS) {
  const changes = new ChangeNotifier();
  const drain = new Drain({
    clock: systemClock,
    logger: createLogger({ name: 'test', level: 'silent' }),
    timeoutMs,
    needed: () => (slots.left === 0 ? undefined : `exposing ${slots.left}`),
    over: () => slots.over,
    changes,
  });
  return { drain, changes };
}

/** Asks as kubelet's preStop hook does; resolves with the body. */
async function hook(drain: Drain): Promise<string> {
  const server = createServer((request, response) => void drain.wait(request, response));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  ends.push(() => {
    server.closeAllConnections();
    server.close();
  });
  const port = portOf(server) ?? 0;
  return await new Promise((resolve, reject) => {
    get({ host: '127.0.0.1', port, path: '/drain/wait' }, (answer) => {
      answer.setEncoding('utf8');
      let body = '';
      answer.on('data', (chunk: string) => (body += chunk));
      answer.on('end', () => resolve(body));
    }).on('error', reject);
  });
}

it('ends at once when nothing depends on the worker', async () => {
  const { drain } = draining({ left: 0 });
  await expect(drain.run()).resolves.toBeUndefined();
});

it('ends when the last slot is released', async () => {
  const slots = { left: 2 };
  const { drain, changes } = draining(slots);
  let done = false;
  const running = drain.run().then(() => (done = true));
  expect(drain.draining).toBe(true);
  slots.left = 1;
  changes.notify();
  await elapse(50);
  expect(done).toBe(false);
  slots.left = 0;
  changes.notify();
  await running;
});

it('notices a release that nobody announced', async () => {
  const slots = { left: 1 };
  const { drain } = draining(slots);
  const running = drain.run();
  slots.left = 0;
  await expect(running).resolves.toBeUndefined();
});

it('ends at once when nobody is left to take its slots, and lets the exporter go', async () => {
  const slots: { left: number; over?: string } = { left: 2 };
  const { drain, changes } = draining(slots);
  const asked = hook(drain);
  const running = drain.run();
  slots.over = 'ShardConfig monitoring/main is gone';
  changes.notify();
  await running;
  expect(await asked).toBe('drained\n');
});

it('ends when its time is over', async () => {
  const began = Date.now();
  await draining({ left: 5 }, 300).drain.run();
  expect(Date.now() - began).toBeGreaterThanOrEqual(290);
});

it('keeps the exporter alive until the drain has ended, also when its hook came first', async () => {
  const slots = { left: 1 };
  const { drain, changes } = draining(slots);
  let answered: string | undefined;
  const asked = hook(drain).then((body) => (answered = body));
  await elapse(100);
  const running = drain.run();
  await elapse(100);
  expect(answered).toBeUndefined();
  slots.left = 0;
  changes.notify();
  await running;
  expect(await asked).toBe('drained\n');
});

it('lets an exporter that is restarted alone go after a short while', async () => {
  expect(await hook(draining({ left: 1 }).drain)).toBe('this worker is not terminating\n');
});
