import { randomUUID } from 'node:crypto';
import { headers } from '@nats-io/transport-node';
import {
  appendOnlyStream,
  connectNats,
  EventStream,
  ensureStream,
  LastValueStream,
  lastValueStream,
  type NatsLink,
  type StreamFollowOptions,
  type StreamReset,
  type WantedStream,
} from '@shard-controller/shared/nats';
import { elapse, PATIENCE_MS, retried } from '@shard-controller/shared/testing';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { NatsFront } from './nats-front.ts';
import { type NatsServer, startNatsServer } from './nats-server.ts';
import { RecordingLogger } from './recording-logger.ts';

const schema = z.object({ id: z.string(), n: z.int() });
type Message = z.infer<typeof schema>;
const SUBJECT = 'shard.events.ns.config.uid';
const message = (n: number): Message => ({ id: randomUUID(), n });
const log: WantedStream = appendOnlyStream({ name: 'LOG', subjects: ['shard.events.>'] });
/** So seldom that what is found in a test was told. ms. */
const NEVER_MS = 10 * PATIENCE_MS;
const numbers = (from: number, to: number): number[] => Array.from({ length: to - from + 1 }, (_, i) => from + i);

describe('following a stream', () => {
  let server: NatsServer;
  let link: NatsLink;
  let stream: EventStream<Message>;
  let stop: AbortController;
  let following: Promise<void>[] = [];
  let seen: number[] = [];
  let resets: StreamReset[] = [];

  beforeEach(async () => {
    server = await startNatsServer();
    link = await connectNats({
      servers: server.url,
      name: 'test',
      logger: new RecordingLogger(),
      requestTimeoutMs: 10_000,
    });
    await retried(() => ensureStream(link, log));
    stream = new EventStream({ link, stream: 'LOG', schema });
    stop = new AbortController();
    [following, seen, resets] = [[], [], []];
  });
  afterEach(async () => {
    stop.abort();
    await Promise.all(following);
    await link.close();
    await server.dispose();
  });

  function follow(options: Partial<StreamFollowOptions<Message>> = {}, subject = SUBJECT): void {
    following.push(
      stream.follow(subject, {
        fromSequence: 1,
        signal: stop.signal,
        onRecord: ({ body }) => void seen.push(body.ok ? body.value.n : Number.NaN),
        onReset: (reset) => void resets.push(reset),
        ...options,
      }),
    );
  }

  async function write(n: number): Promise<void> {
    const result = await stream.append(SUBJECT, message(n), await stream.lastSequence(SUBJECT));
    expect(result).toMatchObject({ ok: true });
  }

  it('gives what is there, then each message as it comes', async () => {
    for (const n of numbers(1, 5)) await write(n);
    let caughtUp = 0;
    follow({ fromSequence: 3, probeMs: NEVER_MS, onCaughtUp: (sequence) => void (caughtUp ||= sequence) });
    await expect.poll(() => caughtUp).toBe(5);
    await elapse(100);
    await write(6);
    await expect.poll(() => seen).toEqual([3, 4, 5, 6]);
  });

  it('has no gap and no duplicate through SIGKILLs, and is not deaf after them', async () => {
    follow({ probeMs: NEVER_MS });
    let n = 0;
    for (let kill = 0; kill < 3; kill += 1) {
      for (let count = 0; count < 20; count += 1) await write((n += 1));
      await server.kill();
      await server.restart();
      await link.waitConnected(PATIENCE_MS);
    }
    await write((n += 1));
    await expect.poll(() => seen).toEqual(numbers(1, 61));
    expect(resets).toEqual([]);
  });

  it('reports a stream that was deleted and created again, and follows the new one from its start', async () => {
    follow({ probeMs: 300 });
    for (const n of numbers(1, 3)) await write(n);
    await expect.poll(() => seen).toEqual([1, 2, 3]);
    await link.session().jsm.streams.delete('LOG');
    await elapse(500);
    await ensureStream(link, log);
    for (const n of numbers(11, 15)) await write(n);
    await expect.poll(() => seen).toEqual([1, 2, 3, 11, 12, 13, 14, 15]);
    expect(resets).toMatchObject([{ reason: 'recreated', before: { cursor: 3 } }]);
    expect(resets[0]?.now.created).not.toBe(resets[0]?.before.created);
    await write(16);
    await expect.poll(() => seen.at(-1)).toBe(16);
  });

  it('reports a stream that is not the one the caller knew, before its first message', async () => {
    await write(1);
    follow({ fromSequence: 1, created: '2020-01-01T00:00:00Z' });
    await expect.poll(() => seen).toEqual([1]);
    expect(resets).toMatchObject([{ reason: 'recreated' }]);
  });

  it('reports a stream that ends before what was read', async () => {
    await write(1);
    const { created } = await stream.facts();
    follow({ fromSequence: 41, created });
    await expect.poll(() => resets).toMatchObject([{ reason: 'behind', before: { cursor: 40 } }]);
    await expect.poll(() => seen).toEqual([1]);
  });

  it('reports a restored backup that lacks what was read', async () => {
    await write(1);
    await server.stop();
    await server.backUp();
    await server.restart();
    await link.waitConnected(PATIENCE_MS);
    follow();
    for (const n of numbers(2, 4)) await write(n);
    await expect.poll(() => seen).toEqual([1, 2, 3, 4]);
    await server.kill();
    await server.restoreBackup();
    await server.restart();
    await expect.poll(() => resets).toMatchObject([{ reason: 'behind', before: { cursor: 4 } }]);
    await expect.poll(() => seen).toEqual([1, 2, 3, 4, 1]);
  });

  it('reports a restored backup even when others have written past the old position meanwhile', async () => {
    const path = await NatsFront.start(server.url);
    const far = await connectNats({ servers: path.url, name: 'far', logger: new RecordingLogger() });
    await server.stop();
    await server.backUp();
    await server.restart();
    await link.waitConnected(PATIENCE_MS);
    await far.waitConnected(PATIENCE_MS);
    following.push(
      new EventStream({ link: far, stream: 'LOG', schema }).follow(SUBJECT, {
        fromSequence: 1,
        signal: stop.signal,
        onRecord: ({ body }) => void seen.push(body.ok ? body.value.n : Number.NaN),
        onReset: (reset) => void resets.push(reset),
      }),
    );
    for (const n of numbers(1, 3)) await write(n);
    await expect.poll(() => seen).toEqual([1, 2, 3]);
    path.block();
    await server.kill();
    await server.restoreBackup();
    await server.restart();
    await link.waitConnected(PATIENCE_MS);
    for (const n of numbers(11, 15)) await write(n);
    path.unblock();
    await expect.poll(() => seen).toEqual([1, 2, 3, 11, 12, 13, 14, 15]);
    expect(resets).toMatchObject([{ reason: 'rewritten', before: { cursor: 3 } }]);
    await far.close();
    await path.close();
  });

  it('finds messages whose notice it never got, by looking', async () => {
    const { republish: _, ...silent } = log;
    const name = 'SILENT';
    await ensureStream(link, { ...silent, name, subjects: ['shard.silent.>'] });
    const quiet = new EventStream({ link, stream: name, schema });
    following.push(
      quiet.follow('shard.silent.a', {
        fromSequence: 1,
        signal: stop.signal,
        probeMs: 200,
        onRecord: ({ sequence }) => void seen.push(sequence),
      }),
    );
    await elapse(300);
    await quiet.append('shard.silent.a', message(1), 0);
    await expect.poll(() => seen).toEqual([1]);
  });

  it('is not stopped by a forged notice', async () => {
    follow({ probeMs: 500 });
    await write(1);
    const { connection } = link.session();
    const forged = headers();
    forged.set('Nats-Sequence', '999999999');
    connection.publish(`shard.stored.events.ns.config.uid`, '', { headers: forged });
    connection.publish(`shard.stored.events.ns.config.uid`, 'garbage');
    await write(2);
    await expect.poll(() => seen).toEqual([1, 2]);
    await elapse(1500);
    await write(3);
    await expect.poll(() => seen).toEqual([1, 2, 3]);
  });

  it('hands an invalid message on as a problem and goes on after it', async () => {
    follow();
    await write(1);
    link.publish(SUBJECT, { id: 1 });
    await expect.poll(() => seen).toEqual([1, Number.NaN]);
    await write(3);
    await expect.poll(() => seen).toEqual([1, Number.NaN, 3]);
  });

  it('gives a record again when its handler failed, and loses none', async () => {
    let failures = 2;
    follow({
      onRecord: ({ body }) => {
        if (failures > 0) {
          failures -= 1;
          throw new Error('not now');
        }
        if (body.ok) seen.push(body.value.n);
      },
    });
    for (const n of numbers(1, 3)) await write(n);
    await expect.poll(() => seen).toEqual([1, 2, 3]);
  });

  it('starts while NATS is away and begins when it is back', async () => {
    await write(1);
    await server.kill();
    await expect.poll(() => link.connected).toBe(false);
    follow();
    await elapse(300);
    await server.restart();
    await expect.poll(() => seen).toEqual([1]);
  });

  it('ends promptly on its signal', async () => {
    follow({ probeMs: NEVER_MS });
    await elapse(200);
    stop.abort();
    await expect(Promise.all(following)).resolves.toBeDefined();
  });

  it('watching last values gives the present ones, then changes, through a SIGKILL and a re-creation', async () => {
    const wanted = lastValueStream({ name: 'VALUES', subjects: ['shard.assignments.>'] });
    await ensureStream(link, wanted);
    const values = new LastValueStream({ link, stream: 'VALUES', schema });
    const subject = (shard: string): string => `shard.assignments.ns.config.${shard}`;
    for (const n of numbers(1, 3)) await values.publish(subject('a'), message(n));
    await values.publish(subject('b'), message(4));
    const onRecord = ({ body }: { readonly body: { readonly ok: boolean; readonly value?: Message } }): void =>
      void seen.push(body.value?.n ?? 0);
    following.push(values.watch(subject('*'), { signal: stop.signal, probeMs: 300, onRecord }));
    await expect.poll(() => seen).toEqual([3, 4]);
    await server.kill();
    await server.restart();
    await link.waitConnected(PATIENCE_MS);
    await values.publish(subject('a'), message(5));
    await expect.poll(() => seen).toEqual([3, 4, 5]);
    await link.session().jsm.streams.delete('VALUES');
    await ensureStream(link, wanted);
    await values.publish(subject('b'), message(6));
    await expect.poll(() => seen).toEqual([3, 4, 5, 6]);
  });
});
