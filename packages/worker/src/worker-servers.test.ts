import { createLogger, createMetrics } from '@shard-controller/shared/observability';
import { aborted } from '@shard-controller/shared/runtime';
import { afterEach, expect, test } from 'vitest';
import { snapshotOver } from './testing/fixtures.ts';
import { watchProxy, workerHealth, type WorkerHealthParts } from './worker-servers.ts';

const ends: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0)) await end();
});

async function statusOf(path: string, isDebugged: boolean): Promise<number> {
  const health = workerHealth({
    config: { HEALTH_PORT: 0, LISTEN_HOST: '127.0.0.1', DEBUG_ENDPOINTS: isDebugged },
    logger: createLogger({ name: 'test', level: 'fatal' }),
    metrics: createMetrics(),
    drain: { wait: () => Promise.resolve() },
    dataPlane: { inspection: { feeds: () => [] } as unknown as WorkerHealthParts['dataPlane']['inspection'] },
    selfCheck: {} as WorkerHealthParts['selfCheck'],
    snapshot: () => snapshotOver({ assignment: undefined }),
    waiting: () => 'the ShardInstance has not been read yet',
  });
  await health.start();
  ends.push(() => health.stop());
  const response = await fetch(`http://127.0.0.1:${health.port}${path}`);
  return response.status;
}

test('a worker without an assignment lives and is not ready', async () => {
  expect([await statusOf('/livez', false), await statusOf('/readyz', false)]).toEqual([200, 503]);
});

test('people can look into a shard only where that is switched on', async () => {
  expect(await statusOf('/debug/shard?uid=', false)).toBe(404);
  expect(await statusOf('/debug/shard?uid=', true)).not.toBe(404);
});

test('the proxy has started once it listens', async () => {
  const listening = Promise.withResolvers<void>();
  const component = watchProxy({ run: aborted }, listening.promise);
  let hasStarted = false;
  const started = component.start(new AbortController().signal).then(() => (hasStarted = true));
  ends.push(async () => component.stop());
  await Promise.resolve();
  expect(hasStarted).toBe(false);
  listening.resolve();
  await started;
});

test('a proxy that cannot listen has not started', async () => {
  const component = watchProxy({ run: () => Promise.reject(new Error('port in use')) }, new Promise(() => {}));
  await expect(component.start(new AbortController().signal)).rejects.toThrow('port in use');
});
