import { Agent, createServer, type IncomingHttpHeaders, request, type RequestListener, type Server } from 'node:http';
import { connect } from 'node:net';
import { gunzipSync, gzipSync } from 'node:zlib';
import { createLogger } from '@shard-controller/shared/observability';
import { systemClock } from '@shard-controller/shared/runtime';
import { elapse, PATIENCE_MS, retried, waitUntil } from '@shard-controller/shared/testing';
import { afterEach, describe, expect, it } from 'vitest';
import { ChangeNotifier } from '../change-notifier.ts';
import { heapAfterCollection } from '../testing/heap.ts';
import type { GatewayState } from './gateway-state.ts';
import { Gateway, type ScrapeOutcome } from './gateway.ts';
import type { ScrapeLimits } from './scrape-limits.ts';
import { ScraperTracker } from './scraper-tracker.ts';

const OPEN: GatewayState = { state: 'serving', reason: '', open: true };
const WARMING: GatewayState = { state: 'warming', reason: 'pods: 3 of 8 slots are loaded', open: false };
const STARTING_OVER: GatewayState = {
  state: 'warming',
  reason: 'the exporter is opening its watches',
  open: false,
  startsOver: true,
};
const STANDBY: GatewayState = { state: 'standby', reason: 'replica a of this shard serves', open: false };

const cleanups: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function listening(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  return typeof address === 'object' && address !== null ? address.port : 0;
}

/** A real HTTP server in the exporter's place. */
async function exporter(listener: RequestListener): Promise<number> {
  const server = createServer(listener);
  const port = await listening(server);
  cleanups.push(() => {
    server.closeAllConnections();
    server.close();
  });
  return port;
}

async function gatewayBefore(
  exporterPort: number,
  options: { state?: GatewayState; limits?: Partial<ScrapeLimits> } = {},
) {
  let state = options.state ?? OPEN;
  let looks = 0;
  const outcomes: ScrapeOutcome[] = [];
  const expositions: number[] = [];
  const reachable: boolean[] = [];
  const tracker = new ScraperTracker();
  const changes = new ChangeNotifier();
  const gateway = new Gateway({
    host: '127.0.0.1',
    port: 0,
    exporter: { host: '127.0.0.1', port: exporterPort },
    state: () => {
      looks++;
      return state;
    },
    changes,
    tracker,
    reports: {
      scrape: (outcome) => outcomes.push(outcome),
      held: () => undefined,
      exposition: (bytes) => expositions.push(bytes),
      exporterReachable: (yes) => reachable.push(yes),
    },
    limits: { holdMs: 300, ...options.limits },
    clock: systemClock,
    logger: createLogger({ name: 'test', level: 'silent' }),
  });
  await gateway.start();
  cleanups.push(() => gateway.stop(100));
  const set = (next: GatewayState): void => {
    state = next;
    changes.notify();
  };
  /** Resolves once a scrape has come as far as to be held, or let through. */
  const looked = (): Promise<void> => waitUntil('a scrape has come', () => looks > 0);
  return { gateway, outcomes, expositions, reachable, tracker, set, looked, port: gateway.port };
}

interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

async function scrape(
  port: number,
  path = '/metrics',
  headers: Record<string, string> = {},
  method = 'GET',
  agent: Agent | false = false,
): Promise<Answer> {
  return await new Promise((resolve, reject) => {
    const outgoing = request({ host: '127.0.0.1', port, path, method, headers, agent }, (answer) => {
      const chunks: Buffer[] = [];
      answer.on('data', (chunk: Buffer) => chunks.push(chunk));
      answer.on('error', reject);
      answer.on('end', () =>
        resolve({ status: answer.statusCode ?? 0, headers: answer.headers, body: Buffer.concat(chunks) }),
      );
    });
    outgoing.on('error', reject);
    outgoing.end();
  });
}

async function eventually(check: () => void | Promise<void>): Promise<void> {
  await retried(check);
}

const text: RequestListener = (_request, response) => {
  response.setHeader('content-type', 'text/plain; version=0.0.4');
  response.write('a 1\n');
  response.end('b 2\n');
};

describe('the gateway while it is open', () => {
  it('passes the exposition through with its content type and remembers the scraper', async () => {
    const { port, tracker, outcomes, expositions } = await gatewayBefore(await exporter(text));
    const before = Date.now();
    const answer = await scrape(port, '/metrics', { 'user-agent': 'Prometheus/3.5' });
    expect(answer.status).toBe(200);
    expect(answer.headers['content-type']).toBe('text/plain; version=0.0.4');
    expect(answer.body.toString()).toBe('a 1\nb 2\n');
    await eventually(() => expect(outcomes).toEqual(['complete']));
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
    await eventually(() => expect(tracker.scrapers()).toHaveLength(1));
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
    await eventually(() => expect(outcomes).toEqual(['complete']));
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
    await eventually(() => expect(outcomes).toEqual(['not_open']));
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
    await eventually(() => expect(calls).toBe(1));
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
    await eventually(() => expect(outcomes).toEqual(['cut']));
    expect(tracker.scrapers()).toEqual([]);
  });
});

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
    await eventually(() => expect(outcomes).toEqual(['complete']));
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
    await eventually(() => expect(outcomes).toEqual(['exporter_unreachable']));
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
    cleanups.push(() => void restarted.close());
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
    await eventually(() => expect(outcomes).toEqual(['cut']));
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
    await eventually(() => expect(outcomes).toEqual(['exporter_error']));
    expect(tracker.scrapers()).toEqual([]);
  });
});

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
    await eventually(() => expect(outcomes).toEqual(['client_gone']));
    expect(tracker.scrapers()).toEqual([]);
  });

  it('ends a scraper that takes nothing', async () => {
    const upstream = await exporter((_incoming, response) => void response.end(Buffer.alloc(64 * 1024 * 1024, 'x')));
    const { port, outcomes } = await gatewayBefore(upstream, { limits: { idleMs: 300 } });
    const socket = connect(port, '127.0.0.1');
    socket.on('error', () => undefined);
    cleanups.push(() => void socket.destroy());
    socket.write('GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n');
    socket.pause();
    await eventually(() => expect(outcomes).toEqual(['client_gone']));
  });

  it('does not end a scraper that has taken everything, however long the exporter thinks between two parts', async () => {
    const upstream = await exporter((_incoming, response) => {
      setTimeout(() => response.write('a 1\n'), 400);
      setTimeout(() => response.end('b 2\n'), 800);
    });
    const { port, outcomes } = await gatewayBefore(upstream, { limits: { idleMs: 100 } });
    expect((await scrape(port)).body.toString()).toBe('a 1\nb 2\n');
    await eventually(() => expect(outcomes).toEqual(['complete']));
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
    cleanups.push(() => agent.destroy());
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
    cleanups.push(() => void socket.destroy());
    socket.write('GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n');
    socket.on('data', () => {
      socket.pause();
      setTimeout(() => socket.resume(), 10);
    });
    await eventually(() => expect(outcomes).toEqual(['client_gone']));
  });

  it('ends a client that never comes to the end of its headers', async () => {
    const { port } = await gatewayBefore(await exporter(text), { limits: { headersMs: 200 } });
    const socket = connect(port, '127.0.0.1');
    socket.on('error', () => undefined);
    const drip = setInterval(() => socket.write('x-a: b\r\n'), 20);
    cleanups.push(() => clearInterval(drip));
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
    await eventually(() => expect(outcomes).toEqual(['complete', 'complete', 'complete']));
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
    await eventually(() => expect(calls).toBe(2));
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
      cleanups.push(() => void socket.destroy());
      await new Promise((resolve) => socket.once('connect', resolve));
    }
    await eventually(async () => expect(scrape(port)).rejects.toThrow(/hang up|ECONNRESET/));
  });

  it('closes a connection after its bound of requests', async () => {
    const { port } = await gatewayBefore(await exporter(text), { limits: { requestsPerConnection: 2 } });
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    cleanups.push(() => agent.destroy());
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
