import { request, type IncomingHttpHeaders } from 'node:http';
import { connect } from 'node:net';
import { gunzipSync, gzipSync } from 'node:zlib';
import { elapse, PATIENCE_MS, retried } from '@shard-controller/shared/testing';
import { describe, expect, it } from 'vitest';
import { exporter, gatewayBefore, OPEN, scrape, STANDBY, text, WARMING } from './testing/gateway-rig.ts';

describe('the gateway while it is open', () => {
  it('passes the exposition through with its content type and remembers the scraper', async () => {
    const { port, tracker, outcomes, expositions } = await gatewayBefore(await exporter(text));
    const before = Date.now();
    const answer = await scrape(port, '/metrics', { 'user-agent': 'Prometheus/3.5' });
    expect(answer.status).toBe(200);
    expect(answer.headers['content-type']).toBe('text/plain; version=0.0.4');
    expect(answer.body.toString()).toBe('a 1\nb 2\n');
    await retried(() => expect(outcomes).toEqual(['complete']));
    expect(expositions).toEqual([8]);
    const [seen] = tracker.scrapers();
    expect(seen?.id).toBe('127.0.0.1 Prometheus/3.5');
    expect(seen?.lastStart).toBeGreaterThanOrEqual(before);
    expect(seen?.lastEnd).toBeGreaterThanOrEqual(seen?.lastStart ?? 0);
  });

  it('passes content negotiation both ways and does not unpack gzip', async () => {
    const seen: IncomingHttpHeaders[] = [];
    const upstream = await exporter((incoming, response) => {
      seen.push(incoming.headers);
      response.setHeader('content-encoding', 'gzip');
      response.setHeader('content-type', 'application/openmetrics-text; version=1.0.0');
      response.end(gzipSync('a 1\n# EOF\n'));
    });
    const { port } = await gatewayBefore(upstream);
    const answer = await scrape(port, '/metrics?resources=pods', {
      accept: 'application/openmetrics-text;version=1.0.0',
      'accept-encoding': 'gzip',
      'x-prometheus-scrape-timeout-seconds': '10',
      authorization: 'Bearer secret',
    });
    expect(answer.headers['content-encoding']).toBe('gzip');
    expect(answer.headers['content-type']).toContain('openmetrics');
    expect(gunzipSync(answer.body).toString()).toBe('a 1\n# EOF\n');
    expect(seen[0]).toMatchObject({
      accept: 'application/openmetrics-text;version=1.0.0',
      'accept-encoding': 'gzip',
      'x-prometheus-scrape-timeout-seconds': '10',
    });
    expect(seen[0]).not.toHaveProperty('authorization');
  });

  it('hands on the first bytes while the exporter is still rendering', async () => {
    const rest = Promise.withResolvers<void>();
    const upstream = await exporter((_incoming, response) => {
      response.write('first 1\n');
      void rest.promise.then(() => response.end('last 1\n'));
    });
    const { port, tracker } = await gatewayBefore(upstream);
    const first = Promise.withResolvers<string>();
    const whole = new Promise<string>((resolve, reject) => {
      request({ host: '127.0.0.1', port, path: '/metrics', agent: false }, (answer) => {
        let all = '';
        answer.on('data', (chunk: Buffer) => {
          all += chunk.toString();
          first.resolve(all);
        });
        answer.on('end', () => resolve(all));
        answer.on('error', reject);
      })
        .on('error', reject)
        .end();
    });
    expect(await first.promise).toBe('first 1\n');
    expect(tracker.scrapers()).toEqual([]);
    rest.resolve();
    expect(await whole).toBe('first 1\nlast 1\n');
    await retried(() => expect(tracker.scrapers()).toHaveLength(1));
  });

  it('does not read ahead of a slow scraper', async () => {
    let written = 0;
    const upstream = await exporter((_incoming, response) => {
      const more = (): void => {
        while (written < 256 * 1024 * 1024) {
          written += 65536;
          if (!response.write(Buffer.alloc(65536, 'x'))) return void response.once('drain', more);
        }
        response.end();
      };
      more();
    });
    const { port } = await gatewayBefore(upstream);
    const socket = connect(port, '127.0.0.1');
    socket.on('error', () => undefined);
    socket.write('GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n');
    socket.pause();
    // Whatever the sockets' buffers take, and then no more.
    let then = -1;
    await expect
      .poll(() => [then, (then = written)].every((size) => size === written && size > 0), {
        interval: 300,
      })
      .toBe(true);
    socket.destroy();
    expect(written).toBeLessThan(64 * 1024 * 1024);
  });

  it('answers HEAD without a body and without taking it for a scrape', async () => {
    const { port, tracker, expositions } = await gatewayBefore(await exporter(text));
    const answer = await scrape(port, '/metrics', {}, 'HEAD');
    expect(answer.status).toBe(200);
    expect(answer.body).toHaveLength(0);
    expect(tracker.scrapers()).toEqual([]);
    expect(expositions).toEqual([]);
  });

  it.each([
    ['GET', '/', 200, /href="\/metrics"/],
    ['GET', '/healthz', 200, /^OK$/m],
    ['GET', '/livez', 200, /^OK$/m],
    ['GET', '/metrics/pods', 404, /metrics are at \/metrics.*8081/],
    ['GET', '/telemetry/metrics', 404, /telemetry of kube-state-metrics: port 8081/],
    ['POST', '/metrics', 405, /GET or HEAD/],
    ['DELETE', '/metrics', 405, /GET or HEAD/],
    ['PUT', '/', 405, /GET or HEAD/],
  ])('answers %s %s with %i and a hint', async (method, path, status, hint) => {
    const { port } = await gatewayBefore(await exporter(text));
    const answer = await scrape(port, path, {}, method);
    expect(answer.status).toBe(status);
    expect(answer.body.toString()).toMatch(hint);
  });
});

describe('the gateway while the exporter is not warm', () => {
  it('holds a scrape and answers it in full once it is', async () => {
    const { port, set, looked, outcomes, tracker } = await gatewayBefore(await exporter(text), {
      state: WARMING,
      limits: { holdMs: PATIENCE_MS },
    });
    const answer = scrape(port);
    await looked();
    const opened = Date.now();
    set(OPEN);
    expect((await answer).status).toBe(200);
    await retried(() => expect(outcomes).toEqual(['complete']));
    // What counts is when the exporter was asked, not when the scraper came.
    expect(tracker.scrapers()[0]?.lastStart).toBeGreaterThanOrEqual(opened);
  });

  it('gives up after the hold time with 503 and the reason', async () => {
    const { port, outcomes, tracker } = await gatewayBefore(await exporter(text), { state: WARMING });
    const began = Date.now();
    const answer = await scrape(port);
    expect(answer.status).toBe(503);
    expect(answer.headers['content-type']).toContain('text/plain');
    expect(answer.body.toString()).toBe('warming: pods: 3 of 8 slots are loaded\n');
    expect(Date.now() - began).toBeGreaterThanOrEqual(290);
    expect(tracker.scrapers()).toEqual([]);
    await retried(() => expect(outcomes).toEqual(['not_open']));
  });

  it('holds a scrape of a standby only for the moment of a promotion', async () => {
    const { port, set } = await gatewayBefore(await exporter(text), { state: STANDBY, limits: { holdMs: 60_000 } });
    const refused = await scrape(port);
    expect([refused.status, refused.body.toString()]).toEqual([503, 'standby: replica a of this shard serves\n']);
    const promoted = scrape(port);
    await elapse(50);
    set(OPEN);
    expect((await promoted).status).toBe(200);
  });

  it('answers before the scraper gives up', async () => {
    const { port } = await gatewayBefore(await exporter(text), {
      state: WARMING,
      limits: { holdMs: 10 * PATIENCE_MS },
    });
    const answer = await scrape(port, '/metrics', { 'x-prometheus-scrape-timeout-seconds': '0.8' });
    expect(answer.status).toBe(503);
  });

  it('waits again when it closes while the exporter is rendering', async () => {
    const held = Promise.withResolvers<void>();
    let calls = 0;
    const upstream = await exporter((incoming, response) => {
      calls += 1;
      if (calls > 1) return text(incoming, response);
      void held.promise.then(() => response.end('partial 1\n'));
    });
    const { port, set } = await gatewayBefore(upstream, { limits: { holdMs: PATIENCE_MS } });
    const answer = scrape(port);
    await retried(() => expect(calls).toBe(1));
    set(WARMING);
    held.resolve();
    await elapse(100);
    set(OPEN);
    expect((await answer).body.toString()).toBe('a 1\nb 2\n');
  });

  it('breaks off a scrape during which it closes, instead of ending it as if it were complete', async () => {
    const rest = Promise.withResolvers<void>();
    const upstream = await exporter((_incoming, response) => {
      response.write('a 1\n');
      void rest.promise.then(() => response.end());
    });
    const { port, set, tracker, outcomes } = await gatewayBefore(upstream);
    const begun = Promise.withResolvers<void>();
    const ended = new Promise<string>((resolve) => {
      const socket = connect(port, '127.0.0.1');
      socket.on('error', (error) => resolve(error.message));
      socket.on('end', () => resolve('a clean end'));
      socket.on('data', (chunk) => {
        if (chunk.includes('a 1')) begun.resolve();
      });
      socket.write('GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n');
    });
    await begun.promise;
    set(WARMING);
    rest.resolve();
    expect(await ended).toContain('ECONNRESET');
    await retried(() => expect(outcomes).toEqual(['cut']));
    expect(tracker.scrapers()).toEqual([]);
  });
});
