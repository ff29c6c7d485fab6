import { createServer, request } from 'node:http';
import { connect } from 'node:net';
import { elapse, PATIENCE_MS, retried } from '@shard-controller/shared/testing';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { GatewayState } from './gateway-state.ts';
import {
  exporter,
  gatewayBefore,
  listening,
  OPEN,
  scrape,
  STANDBY,
  STARTING_OVER,
  text,
  WARMING,
} from './testing/gateway-rig.ts';

describe('the gateway while the exporter starts over', () => {
  const limits = { holdMs: 100, startOverHoldMs: 60_000, answerMs: 500 };
  const announced = (seconds: number): Record<string, string> => ({
    'x-prometheus-scrape-timeout-seconds': String(seconds),
  });

  it('holds the scrape of who announces a time-out beyond the usual time, and the one that is too many with it', async () => {
    const { port, set } = await gatewayBefore(await exporter(text), {
      state: STARTING_OVER,
      limits: { ...limits, concurrent: 1 },
    });
    const waiting = [scrape(port, '/metrics', announced(100)), scrape(port, '/metrics', announced(100))];
    const unannounced = await scrape(port);
    expect(unannounced.status).toBe(503);
    set(OPEN);
    for (const answer of waiting) expect((await answer).status).toBe(200);
  });

  it('leaves time for the answer, and gives up before the scraper does', async () => {
    const { port } = await gatewayBefore(await exporter(text), { state: STARTING_OVER, limits });
    const began = performance.now();
    const answer = await scrape(port, '/metrics', announced(1.5));
    expect([answer.status, answer.body.toString()]).toEqual([503, 'warming: the exporter is opening its watches\n']);
    expect(performance.now() - began).toBeGreaterThanOrEqual(950);
  });

  it.each<[string, GatewayState, string]>([
    ['the other replica serves now', STANDBY, 'standby: replica a of this shard serves\n'],
    ['something else is the matter', WARMING, 'warming: pods: 3 of 8 slots are loaded\n'],
  ])('holds it no longer when %s', async (_what, next, said) => {
    const { port, set } = await gatewayBefore(await exporter(text), { state: STARTING_OVER, limits });
    const answer = scrape(port, '/metrics', announced(100));
    await elapse(300);
    set(next);
    expect([(await answer).status, (await answer).body.toString()]).toEqual([503, said]);
  });

  it('lets a scrape that began before come to its end', async () => {
    const rest = Promise.withResolvers<void>();
    const upstream = await exporter((_incoming, response) => {
      response.write('a 1\n');
      void rest.promise.then(() => response.end('b 2\n'));
    });
    const { port, set, outcomes, tracker } = await gatewayBefore(upstream);
    const begun = Promise.withResolvers<void>();
    const whole = new Promise<string>((resolve, reject) => {
      request({ host: '127.0.0.1', port, path: '/metrics', agent: false }, (answer) => {
        let all = '';
        answer.on('data', (chunk: Buffer) => {
          all += chunk.toString();
          begun.resolve();
        });
        answer.on('end', () => resolve(all));
        answer.on('error', reject);
      })
        .on('error', reject)
        .end();
    });
    await begun.promise;
    set(STARTING_OVER);
    rest.resolve();
    expect(await whole).toBe('a 1\nb 2\n');
    await retried(() => expect(outcomes).toEqual(['complete']));
    expect(tracker.scrapers()).toHaveLength(1);
  });

  it('ends a hold when it stops', async () => {
    const { gateway, port, looked } = await gatewayBefore(await exporter(text), { state: STARTING_OVER, limits });
    const answer = scrape(port, '/metrics', announced(100));
    await looked();
    await gateway.stop(60_000);
    expect((await answer).status).toBe(503);
  });
});

describe('the gateway and an exporter in trouble', () => {
  it('says 503 and where to look when nothing listens', async () => {
    const upstream = createServer();
    const closed = await listening(upstream);
    await new Promise((resolve) => upstream.close(resolve));
    const { port, reachable, outcomes } = await gatewayBefore(closed);
    const answer = await scrape(port);
    expect(answer.status).toBe(503);
    expect(answer.body.toString()).toMatch(
      /kube-state-metrics at 127\.0\.0\.1:\d+ refuses connections.*container's log/,
    );
    expect(new Set(reachable)).toEqual(new Set([false]));
    await retried(() => expect(outcomes).toEqual(['exporter_unreachable']));
  });

  it('waits for one that restarts', async () => {
    const ended = createServer();
    const upstream = await listening(ended);
    await new Promise((resolve) => ended.close(resolve));
    const { port } = await gatewayBefore(upstream, { limits: { holdMs: PATIENCE_MS } });
    const answer = scrape(port);
    await elapse(200);
    const restarted = createServer(text);
    await new Promise<void>((resolve) => restarted.listen(upstream, '127.0.0.1', resolve));
    onTestFinished(() => void restarted.close());
    expect((await answer).body.toString()).toBe('a 1\nb 2\n');
  });

  it('says 503 when it answers nothing in the scraper’s time', async () => {
    const { port, reachable } = await gatewayBefore(await exporter(() => undefined));
    const answer = await scrape(port, '/metrics', { 'x-prometheus-scrape-timeout-seconds': '0.9' });
    expect(answer.status).toBe(503);
    expect(answer.body.toString()).toMatch(/did not answer within/);
    // How long that is, any client may say: it is no evidence against the exporter.
    expect(reachable).toEqual([]);
  });

  it('breaks off when it dies in the middle, and does not count that as a scrape', async () => {
    const upstream = await exporter((_incoming, response) => {
      response.write('a 1\n');
      setTimeout(() => response.destroy(), 50);
    });
    const { port, tracker, outcomes } = await gatewayBefore(upstream);
    await expect(scrape(port)).rejects.toThrow(/aborted|hang up|ECONNRESET/);
    await retried(() => expect(outcomes).toEqual(['cut']));
    expect(tracker.scrapers()).toEqual([]);
  });

  it('breaks off with a reset towards HTTP/1.0, which would take a closed connection for the end of the body', async () => {
    const upstream = await exporter((_incoming, response) => {
      response.write('a 1\n');
      setTimeout(() => response.destroy(), 50);
    });
    const { port } = await gatewayBefore(upstream);
    const ended = await new Promise<string>((resolve) => {
      const socket = connect(port, '127.0.0.1');
      socket.on('error', (error) => resolve(error.message));
      socket.on('end', () => resolve('a clean end'));
      socket.resume();
      socket.write('GET /metrics HTTP/1.0\r\n\r\n');
    });
    expect(ended).toContain('ECONNRESET');
  });

  it('passes its own error on and does not count that as a scrape', async () => {
    const upstream = await exporter((_incoming, response) => {
      response.statusCode = 500;
      response.end('boom\n');
    });
    const { port, tracker, outcomes } = await gatewayBefore(upstream);
    const answer = await scrape(port);
    expect(answer.status).toBe(500);
    expect(answer.body.toString()).toBe('boom\n');
    await retried(() => expect(outcomes).toEqual(['exporter_error']));
    expect(tracker.scrapers()).toEqual([]);
  });
});
