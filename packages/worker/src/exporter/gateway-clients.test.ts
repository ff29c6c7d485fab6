import { Agent, request } from 'node:http';
import { connect } from 'node:net';
import { createLogger } from '@shard-controller/shared/observability';
import { systemClock } from '@shard-controller/shared/runtime';
import { elapse, PATIENCE_MS, retried } from '@shard-controller/shared/testing';
import { describe, expect, it, onTestFinished } from 'vitest';
import { ChangeNotifier } from '../change-notifier.ts';
import { heapAfterCollection } from '../testing/heap.ts';
import { Gateway } from './gateway.ts';
import { ScraperTracker } from './scraper-tracker.ts';
import { exporter, gatewayBefore, OPEN, scrape, text, WARMING } from './testing/gateway-rig.ts';

describe('the gateway and its clients', () => {
  it('does not count a scraper that goes away in the middle', async () => {
    const upstream = await exporter((_incoming, response) => void response.write('a 1\n'));
    const { port, tracker, outcomes } = await gatewayBefore(upstream);
    await new Promise<void>((resolve) => {
      const outgoing = request({ host: '127.0.0.1', port, path: '/metrics', agent: false }, (answer) => {
        answer.on('error', () => undefined);
        answer.once('data', () => {
          outgoing.destroy();
          resolve();
        });
      });
      outgoing.on('error', () => undefined);
      outgoing.end();
    });
    await retried(() => expect(outcomes).toEqual(['client_gone']));
    expect(tracker.scrapers()).toEqual([]);
  });

  it('ends a scraper that takes nothing', async () => {
    const upstream = await exporter((_incoming, response) => void response.end(Buffer.alloc(64 * 1024 * 1024, 'x')));
    const { port, outcomes } = await gatewayBefore(upstream, { limits: { idleMs: 300 } });
    const socket = connect(port, '127.0.0.1');
    socket.on('error', () => undefined);
    onTestFinished(() => void socket.destroy());
    socket.write('GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n');
    socket.pause();
    await retried(() => expect(outcomes).toEqual(['client_gone']));
  });

  it('does not end a scraper that has taken everything, however long the exporter thinks between two parts', async () => {
    const upstream = await exporter((_incoming, response) => {
      setTimeout(() => response.write('a 1\n'), 400);
      setTimeout(() => response.end('b 2\n'), 800);
    });
    const { port, outcomes } = await gatewayBefore(upstream, { limits: { idleMs: 100 } });
    expect((await scrape(port)).body.toString()).toBe('a 1\nb 2\n');
    await retried(() => expect(outcomes).toEqual(['complete']));
  });

  it('ends a connection that asks for nothing', async () => {
    const { port } = await gatewayBefore(await exporter(text), { limits: { idleMs: 100 } });
    const socket = connect(port, '127.0.0.1');
    const closed = Promise.withResolvers<void>();
    socket.on('error', () => closed.resolve());
    socket.on('close', () => closed.resolve());
    await expect(closed.promise).resolves.toBeUndefined();
  });

  it('keeps nothing of scrapes that are over', async () => {
    const { port } = await gatewayBefore(await exporter(text));
    const agent = new Agent({ keepAlive: true, maxSockets: 8 });
    onTestFinished(() => agent.destroy());
    const scrapes = async (rounds: number): Promise<void> => {
      for (let i = 0; i < rounds; i++) {
        await Promise.all(Array.from({ length: 8 }, () => scrape(port, '/metrics', {}, 'GET', agent)));
      }
    };
    await scrapes(20);
    const before = heapAfterCollection();
    await scrapes(100);
    expect((heapAfterCollection() - before) / 800).toBeLessThan(2_048);
  });

  it('breaks off the request to the exporter when its scraper goes away', async () => {
    const left = Promise.withResolvers<void>();
    const upstream = await exporter((_incoming, response) => {
      response.once('close', () => left.resolve());
      response.write('a 1\n');
    });
    const { port } = await gatewayBefore(upstream);
    const socket = connect(port, '127.0.0.1');
    socket.on('error', () => undefined);
    socket.write('GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n');
    socket.once('data', () => socket.destroy());
    await expect(left.promise).resolves.toBeUndefined();
  });

  it('ends a scraper that takes a little now and then, when its time is over', async () => {
    const upstream = await exporter((_incoming, response) => void response.end(Buffer.alloc(64 * 1024 * 1024, 'x')));
    const { port, outcomes } = await gatewayBefore(upstream, { limits: { totalMs: 1500, marginMs: 100 } });
    const socket = connect(port, '127.0.0.1');
    socket.on('error', () => undefined);
    onTestFinished(() => void socket.destroy());
    socket.write('GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n');
    socket.on('data', () => {
      socket.pause();
      setTimeout(() => socket.resume(), 10);
    });
    await retried(() => expect(outcomes).toEqual(['client_gone']));
  });

  it('ends a client that never comes to the end of its headers', async () => {
    const { port } = await gatewayBefore(await exporter(text), { limits: { headersMs: 200 } });
    const socket = connect(port, '127.0.0.1');
    socket.on('error', () => undefined);
    const drip = setInterval(() => socket.write('x-a: b\r\n'), 20);
    onTestFinished(() => clearInterval(drip));
    socket.write('GET /metrics HTTP/1.1\r\nhost: x\r\n');
    const said = await new Promise<string>((resolve) => {
      let all = '';
      socket.on('data', (chunk) => (all += chunk.toString()));
      socket.on('close', () => resolve(all));
    });
    expect(said).toMatch(/^HTTP\/1\.1 408 /);
  });

  it('lets the one that is too many wait for its turn', async () => {
    const { port, set, outcomes } = await gatewayBefore(await exporter(text), {
      state: WARMING,
      limits: { holdMs: PATIENCE_MS, concurrent: 2 },
    });
    const waiting = [scrape(port), scrape(port), scrape(port)];
    await elapse(100);
    set(OPEN);
    for (const answer of waiting) expect((await answer).status).toBe(200);
    await retried(() => expect(outcomes).toEqual(['complete', 'complete', 'complete']));
  });

  it('answers the one that is too many with 503 when its turn does not come, and serves again afterwards', async () => {
    const done = Promise.withResolvers<void>();
    let calls = 0;
    const upstream = await exporter((incoming, response) => {
      calls += 1;
      if (calls > 2) return text(incoming, response);
      void done.promise.then(() => text(incoming, response));
    });
    const { port, outcomes } = await gatewayBefore(upstream, { limits: { holdMs: 200, concurrent: 2 } });
    const running = [scrape(port), scrape(port)];
    await retried(() => expect(calls).toBe(2));
    const third = await scrape(port);
    expect([third.status, third.headers['retry-after']]).toEqual([503, '1']);
    expect(third.body.toString()).toMatch(/2 scrapes are running/);
    expect(outcomes).toEqual(['too_many']);
    done.resolve();
    for (const answer of running) expect((await answer).status).toBe(200);
    expect((await scrape(port)).status).toBe(200);
  });

  it('closes connections beyond its bound at once', async () => {
    const { port } = await gatewayBefore(await exporter(text), { limits: { connections: 2 } });
    const open = [connect(port, '127.0.0.1'), connect(port, '127.0.0.1')];
    for (const socket of open) {
      onTestFinished(() => void socket.destroy());
      await new Promise((resolve) => socket.once('connect', resolve));
    }
    await retried(async () => expect(scrape(port)).rejects.toThrow(/hang up|ECONNRESET/));
  });

  it('closes a connection after its bound of requests', async () => {
    const { port } = await gatewayBefore(await exporter(text), { limits: { requestsPerConnection: 2 } });
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    onTestFinished(() => agent.destroy());
    const connections: (string | undefined)[] = [];
    for (let i = 0; i < 3; i++) connections.push((await scrape(port, '/metrics', {}, 'GET', agent)).headers.connection);
    expect(connections).toEqual(['keep-alive', 'close', 'keep-alive']);
  });

  it('refuses headers beyond 16 KiB', async () => {
    const { port } = await gatewayBefore(await exporter(text));
    expect((await scrape(port, '/metrics', { 'x-long': 'x'.repeat(20_000) })).status).toBe(431);
  });

  it('names port and variable when the port is taken', async () => {
    const { gateway, port } = await gatewayBefore(await exporter(text));
    expect(gateway.port).toBe(port);
    const taken = new Gateway({
      host: '127.0.0.1',
      port,
      exporter: { host: '127.0.0.1', port: 1 },
      state: () => OPEN,
      changes: new ChangeNotifier(),
      tracker: new ScraperTracker(),
      reports: { scrape: () => 0, held: () => 0, exposition: () => 0, exporterReachable: () => 0 },
      clock: systemClock,
      logger: createLogger({ name: 'test', level: 'silent' }),
    });
    await expect(taken.start()).rejects.toThrow(new RegExp(`port 127.0.0.1:${port} is in use.*GATEWAY_PORT`));
  });

  it('lets a scrape in flight finish when it stops', async () => {
    const begun = Promise.withResolvers<void>();
    const upstream = await exporter((_incoming, response) => {
      begun.resolve();
      response.write('a 1\n');
      setTimeout(() => response.end('b 2\n'), 200);
    });
    const { gateway, port } = await gatewayBefore(upstream);
    const answer = scrape(port);
    await begun.promise;
    await gateway.stop(PATIENCE_MS);
    expect((await answer).body.toString()).toBe('a 1\nb 2\n');
  });
});
