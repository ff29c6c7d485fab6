import { connectNats, type NatsLink, type NatsLinkOptions } from '@shard-controller/shared/nats';
import { elapse, PATIENCE_MS } from '@shard-controller/shared/testing';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { NatsFront } from './nats-front.ts';
import { type NatsServer, startNatsServer } from './nats-server.ts';
import { RecordingLogger } from './recording-logger.ts';

const schema = z.object({ n: z.int() });

describe('a link to NATS', () => {
  let server: NatsServer;
  let logger: RecordingLogger;
  let cleanUp: (() => Promise<void>)[] = [];

  beforeEach(async () => {
    logger = new RecordingLogger();
    server = await startNatsServer();
    cleanUp = [() => server.dispose()];
  });
  afterEach(async () => {
    for (const step of cleanUp.toReversed()) await step();
  });

  async function open(options: Partial<NatsLinkOptions> = {}): Promise<NatsLink> {
    const link = await connectNats({
      servers: server.url,
      name: 'test',
      logger,
      requestTimeoutMs: PATIENCE_MS,
      ...options,
    });
    cleanUp.push(() => link.close());
    return link;
  }

  async function front(): Promise<NatsFront> {
    const made = await NatsFront.start(server.url);
    cleanUp.push(() => made.close());
    return made;
  }

  it('opens without a server, says what to do, and is there when the server is', async () => {
    await server.stop();
    const heard: number[] = [];
    const link = await open();
    link.subscribe({ subject: 'shard.test', schema }, ({ body }) => void (body.ok && heard.push(body.value.n)));
    expect(link.connected).toBe(false);
    expect(logger.text('warn')).toContain(new URL(server.url).host);
    expect(logger.text('warn')).toMatch(/check NATS_URL and that nats-server runs/);
    await elapse(2000);
    expect(logger.lines.filter(({ level }) => level === 'warn')).toHaveLength(1);

    await server.restart();
    expect(await link.waitConnected(PATIENCE_MS)).toBe(true);
    expect(link.publish('shard.test', { n: 1 })).toEqual({ ok: true });
    await expect.poll(() => heard).toEqual([1]);
  });

  it('survives an outage of 15 s and has its subscriptions back', async () => {
    const link = await open();
    const heard: number[] = [];
    const changes: boolean[] = [];
    link.onStatus(({ connected }) => changes.push(connected));
    link.subscribe({ subject: 'shard.test', schema }, ({ body }) => void (body.ok && heard.push(body.value.n)));
    await server.stop();
    await expect.poll(() => link.connected).toBe(false);
    await elapse(15_000);
    await server.restart();
    expect(await link.waitConnected(PATIENCE_MS)).toBe(true);
    link.publish('shard.test', { n: 2 });
    await expect.poll(() => heard).toEqual([2]);
    expect(changes).toEqual([false, true]);
    expect(link.counters.connects).toBe(2);
  });

  it('fails fast while there is no connection, instead of buffering or hanging', async () => {
    const link = await open();
    await server.kill();
    await expect.poll(() => link.connected).toBe(false);
    expect(link.publish('shard.test', { n: 1 })).toMatchObject({ ok: false, problem: /no connection to NATS at/ });
    expect(await link.request({ subject: 'shard.ping', body: {}, schema })).toEqual({ kind: 'disconnected' });
  });

  it('a request that was under way when the connection broke ends at once as disconnected', async () => {
    const link = await open();
    let heard = 0;
    link.subscribe({ subject: 'shard.mute', schema }, () => void heard++);
    const asked = link.request({ subject: 'shard.mute', body: {}, schema });
    await expect.poll(() => heard).toBe(1);
    await server.kill();
    expect(await asked).toEqual({ kind: 'disconnected' });
  });

  it('tells nobody-listens from no-answer-in-time, and reads answers with care', async () => {
    const link = await open();
    const ask = (subject: string, timeoutMs = PATIENCE_MS): ReturnType<typeof link.request<{ n: number }>> =>
      link.request({ subject, body: {}, schema, timeoutMs });
    link.subscribe({ subject: 'shard.mute', schema }, () => undefined);
    link.subscribe({ subject: 'shard.good', schema: z.object({}) }, (message) => void message.respond({ n: 5 }));
    link.subscribe({ subject: 'shard.bad', schema: z.object({}) }, (message) => void message.respond('what?'));
    expect(await ask('shard.nobody')).toEqual({ kind: 'no-responders' });
    expect(await ask('shard.mute', 200)).toEqual({ kind: 'timeout' });
    expect(await ask('shard.good')).toEqual({ kind: 'reply', reply: { ok: true, value: { n: 5 } } });
    expect(await ask('shard.bad')).toMatchObject({ kind: 'reply', reply: { ok: false } });
  });

  it('hands an invalid message to the handler as a problem, counts it, and outlives a handler that throws', async () => {
    const link = await open();
    const problems: string[] = [];
    link.subscribe({ subject: 'shard.test', schema }, ({ body }) => {
      if (body.ok) throw new Error('broken handler');
      problems.push(body.problem);
    });
    link.publish('shard.test', { n: 1 });
    link.publish('shard.test', 'garbage');
    link.publish('shard.test', { n: 'x' });
    await expect.poll(() => problems).toHaveLength(2);
    expect(link.counters).toMatchObject({ invalid: 2, handlerErrors: 1 });
    expect(logger.text('error')).toMatch(/handler of a NATS message failed.*broken handler/);
  });

  it('notices a frozen server by unanswered pings, and is back when it thaws', async () => {
    const link = await open({ pingIntervalMs: 200, connectTimeoutMs: 500 });
    await server.pause();
    await expect.poll(() => link.connected).toBe(false);
    await elapse(1000);
    await server.resume();
    expect(await link.waitConnected(PATIENCE_MS)).toBe(true);
  });

  it('refuses a server that is too old, with its version and the remedy', async () => {
    const old = await front();
    old.rewriteGreeting((greeting) => greeting.replace(/"version":"[^"]+"/, '"version":"2.10.27"'));
    await expect(open({ servers: old.url })).rejects.toMatchObject({
      code: 'SC_NATS_VERSION',
      version: '2.10.27',
      message: expect.stringMatching(/2\.12\.0 or newer is needed.*upgrade nats-server/),
    });
  });

  it('is not connected to a server that was replaced by a too old one', async () => {
    const replaced = await front();
    const link = await open({ servers: replaced.url });
    replaced.rewriteGreeting((greeting) => greeting.replace(/"version":"[^"]+"/, '"version":"2.9.10"'));
    replaced.cut();
    await expect.poll(() => logger.text('warn')).toContain('SC_NATS_VERSION');
    expect(link.connected).toBe(false);
    replaced.rewriteGreeting((greeting) => greeting);
    expect(await link.waitConnected(PATIENCE_MS)).toBe(true);
  });

  it('ends cleanly while it is still dialling', async () => {
    await server.stop();
    const link = await open();
    await link.close();
    expect(link.connected).toBe(false);
  });
});
