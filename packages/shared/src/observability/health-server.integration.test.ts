import { connect, type Socket } from 'node:net';
import { request } from 'undici';
import { afterEach, describe, expect, it } from 'vitest';
import { ListenError } from '../listening/index.ts';
import { HealthServer } from './health-server.ts';
import { createLogger } from './logger.ts';
import { createMetrics } from './metrics.ts';

const servers: HealthServer[] = [];

async function started(more: Partial<ConstructorParameters<typeof HealthServer>[0]> = {}): Promise<HealthServer> {
  const logger = createLogger({ name: 'test', level: 'silent' });
  const server = new HealthServer({ port: 0, host: '127.0.0.1', portVariable: 'HEALTH_PORT', logger, ...more });
  servers.push(server);
  await server.start();
  return server;
}

async function get(server: HealthServer, path: string, method: 'GET' | 'POST' = 'GET') {
  const { statusCode, headers, body } = await request(`http://127.0.0.1:${server.port}${path}`, { method });
  return { status: statusCode, type: headers['content-type'], text: await body.text() };
}

afterEach(async () => {
  await Promise.all(servers.splice(0).map((server) => server.stop()));
});

describe('HealthServer', () => {
  it('is live and ready when no check says otherwise', async () => {
    const server = await started();
    for (const path of ['/livez', '/readyz', '/healthz', '/livez?verbose']) {
      expect(await get(server, path)).toMatchObject({ status: 200, text: 'ok\n' });
    }
  });

  it('is not ready, but alive, while a readiness check fails; and says which and why', async () => {
    const server = await started();
    let problem: string | undefined = 'no connection to nats://host:4222';
    server.addReadinessCheck('nats', async () => problem);
    server.addReadinessCheck('feeds', async () => undefined);
    expect(await get(server, '/readyz')).toMatchObject({
      status: 503,
      text: '[-]nats failed: no connection to nats://host:4222\n[+]feeds ok\ncheck failed\n',
    });
    expect(await get(server, '/livez')).toMatchObject({ status: 200 });
    problem = undefined;
    expect(await get(server, '/readyz')).toMatchObject({ status: 200, text: '[+]nats ok\n[+]feeds ok\nok\n' });
  });

  it('is neither live nor ready when a liveness check fails or throws', async () => {
    const server = await started();
    server.addLivenessCheck('loop', () => Promise.reject(new Error('stalled')));
    for (const path of ['/livez', '/healthz', '/readyz']) {
      expect(await get(server, path)).toMatchObject({ status: 503, text: '[-]loop failed: stalled\ncheck failed\n' });
    }
  });

  it('answers although a check hangs, and says which', async () => {
    const server = await started();
    await get(server, '/livez');
    server.addReadinessCheck('slow', () => new Promise(() => undefined));
    const { status, text } = await get(server, '/readyz');
    expect(status).toBe(503);
    expect(text).toContain('[-]slow failed: no answer within 80 ms');
  });

  it('serves the metrics, when it has some', async () => {
    const metrics = createMetrics();
    metrics.gauge({ name: 'shard_controller_load', help: 'Load.' }).set(1);
    const answer = await get(await started({ metrics }), '/metrics');
    expect(answer).toMatchObject({ status: 200, type: metrics.contentType });
    expect(answer.text).toContain('shard_controller_load 1');
    expect(await get(await started(), '/metrics')).toMatchObject({ status: 404 });
  });

  it('answers 500 and lives on when the metrics cannot be rendered', async () => {
    const metrics = { contentType: 'text/plain', text: () => Promise.reject(new Error('broken collector')) };
    const server = await started({ metrics });
    expect(await get(server, '/metrics')).toMatchObject({ status: 500, text: 'internal error\n' });
    expect(await get(server, '/livez')).toMatchObject({ status: 200 });
  });

  it('serves nothing else', async () => {
    const server = await started();
    expect(await get(server, '/debug')).toMatchObject({ status: 404 });
    expect(await get(server, '/livez', 'POST')).toMatchObject({ status: 405 });
  });

  it('names the port and its variable when the port is taken', async () => {
    const first = await started();
    const second = started({ port: first.port });
    await expect(second).rejects.toThrow(ListenError);
    await expect(second).rejects.toMatchObject({
      code: 'SC_PORT_IN_USE',
      port: first.port,
      message: `port 127.0.0.1:${first.port} is in use by another process: free it, or set HEALTH_PORT to another port`,
    });
  });

  it('frees the port when it stops, also with a connection left open, and can stop twice', async () => {
    const first = await started();
    const { port } = first;
    await get(first, '/livez');
    await first.stop();
    await first.stop();
    const second = await started({ port });
    expect(await get(second, '/livez')).toMatchObject({ status: 200 });
  });
});

it('takes no more connections than it can serve, and makes room when one says nothing', {
  timeout: 60_000,
}, async () => {
  const server = await started();
  const sockets: Socket[] = [];
  const closed: Promise<void>[] = [];
  for (let i = 0; i < 300; i++) {
    const socket = connect(server.port, '127.0.0.1');
    socket.on('error', () => {}).resume();
    closed.push(new Promise((resolve) => socket.on('close', () => resolve())));
    sockets.push(socket);
  }
  // Those beyond the limit at once, the silent ones when their time is over.
  await Promise.all(closed);
  expect(await get(server, '/livez')).toMatchObject({ status: 200 });
});
