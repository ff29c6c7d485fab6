import { randomUUID } from 'node:crypto';
import {
  type AppendResult,
  appendOnlyStream,
  connectNats,
  EventStream,
  ensureStream,
  LastValueStream,
  lastValueStream,
  type NatsLink,
  type StoredRecord,
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

describe('streams', () => {
  let server: NatsServer;
  let link: NatsLink;
  let stream: EventStream<Message>;
  let cleanUp: (() => Promise<void>)[] = [];

  async function open(servers: string, requestTimeoutMs = 10_000): Promise<NatsLink> {
    const opened = await connectNats({ servers, name: 'test', logger: new RecordingLogger(), requestTimeoutMs });
    cleanUp.push(() => opened.close());
    return opened;
  }

  async function front(): Promise<NatsFront> {
    const made = await NatsFront.start(server.url);
    cleanUp.push(() => made.close());
    return made;
  }

  async function stored(): Promise<number[]> {
    const numbers: number[] = [];
    for await (const { body } of stream.replay(SUBJECT)) numbers.push(body.ok ? body.value.n : Number.NaN);
    return numbers;
  }

  beforeEach(async () => {
    server = await startNatsServer();
    cleanUp = [() => server.dispose()];
    link = await open(server.url);
    // A server that has just started on a busy disk may take its time for the first write.
    await retried(() => ensureStream(link, appendOnlyStream({ name: 'LOG', subjects: ['shard.events.>'] })));
    stream = new EventStream({ link, stream: 'LOG', schema, patienceMs: PATIENCE_MS });
  });
  afterEach(async () => {
    for (const step of cleanUp.toReversed()) await step();
  });

  describe('ensuring a stream', () => {
    const wanted = appendOnlyStream({ name: 'LOG', subjects: ['shard.events.>'] });

    it('is done once, and the creation time stays', async () => {
      const first = await ensureStream(link, wanted);
      expect(first).toMatchObject({ outcome: 'unchanged', lastSequence: 0 });
      expect((await ensureStream(link, wanted)).created).toBe(first.created);
    });

    it('brings changed settings to an existing stream and keeps the rest of them', async () => {
      await link.session().jsm.streams.update('LOG', { description: 'by the operator' });
      expect(await ensureStream(link, { ...wanted, max_msg_size: 100_000 })).toMatchObject({ outcome: 'updated' });
      const { config } = await link.session().jsm.streams.info('LOG');
      expect(config).toMatchObject({ description: 'by the operator', max_msg_size: 100_000, deny_delete: true });
    });

    it('refuses a stream that cannot become the wanted one, naming the setting', async () => {
      await expect(ensureStream(link, { ...wanted, storage: 'memory' })).rejects.toMatchObject({
        code: 'SC_STREAM_CONFIG',
        message: expect.stringMatching(/LOG.*storage is "file", wanted "memory"/),
      });
    });

    it('refuses subjects that another stream has', async () => {
      await expect(ensureStream(link, { ...wanted, name: 'OTHER' })).rejects.toMatchObject({
        code: 'SC_STREAM_CONFIG',
        message: expect.stringMatching(/OTHER.*overlap/),
      });
    });

    it('says that NATS is not there when it is not', async () => {
      await server.kill();
      await expect.poll(() => link.connected).toBe(false);
      await expect(ensureStream(link, wanted)).rejects.toMatchObject({ code: 'SC_NATS_UNAVAILABLE' });
    });
  });

  describe('appending', () => {
    it('needs the right expected sequence; another one is a conflict that says how far the log is', async () => {
      expect(await stream.append(SUBJECT, message(1), 0)).toEqual({ ok: true, sequence: 1 });
      expect(await stream.append(SUBJECT, message(2), 1)).toEqual({ ok: true, sequence: 2 });
      expect(await stream.append(SUBJECT, message(3), 1)).toEqual({ ok: false, conflict: true, lastSequence: 2 });
      expect(await stream.append('shard.events.ns.config.other', message(9), 0)).toEqual({ ok: true, sequence: 3 });
      expect(await stored()).toEqual([1, 2]);
    });

    it('of two racing writers exactly one wins each sequence', async () => {
      const rival = new EventStream({ link: await open(server.url), stream: 'LOG', schema });
      let last = 0;
      for (let round = 0; round < 100; round += 1) {
        const results = await Promise.all([
          stream.append(SUBJECT, message(round), last),
          rival.append(SUBJECT, message(1000 + round), last),
        ]);
        const won = results.filter((result) => result.ok);
        expect(won).toHaveLength(1);
        expect(results.filter((result) => !result.ok && result.conflict)).toHaveLength(1);
        last = won[0]?.sequence ?? 0;
      }
      expect(await stored()).toHaveLength(100);
    });

    it('to a subject that no stream covers is a coded error, not "JetStream not enabled"', async () => {
      await expect(stream.append('elsewhere.x', message(1), 0)).rejects.toMatchObject({ code: 'SC_STREAM_MISSING' });
    });

    it('refuses a message over the bound before anything is sent', async () => {
      const large = new EventStream({ link, stream: 'LOG', schema: z.object({ id: z.string(), pad: z.string() }) });
      const body = { id: 'large', pad: 'x'.repeat(70_000) };
      await expect(large.append(SUBJECT, body, 0)).rejects.toMatchObject({ code: 'SC_MESSAGE_TOO_LARGE' });
    });

    it('without a connection is refused at once and certainly not stored', async () => {
      await server.kill();
      await expect.poll(() => link.connected).toBe(false);
      const result = await stream.append(SUBJECT, message(1), 0);
      expect(result).toMatchObject({ ok: false, conflict: false, stored: 'no' });
    });

    it('whose acknowledgement was lost is found to be stored, by its id', async () => {
      const path = await front();
      const writer = new EventStream({
        link: await open(path.url, 400),
        stream: 'LOG',
        schema,
        patienceMs: PATIENCE_MS,
      });
      path.swallowAnswers();
      const result = writer.append(SUBJECT, message(1), 0);
      await expect.poll(() => stored()).toEqual([1]);
      await elapse(500);
      path.hear();
      expect(await result).toEqual({ ok: true, sequence: 1 });
      expect(await stored()).toEqual([1]);
    });

    it('is found even when another writer went on after it before the answer came', async () => {
      const path = await front();
      const writer = new EventStream({
        link: await open(path.url, 400),
        stream: 'LOG',
        schema,
        patienceMs: PATIENCE_MS,
      });
      path.swallowAnswers();
      const result = writer.append(SUBJECT, message(1), 0);
      await expect.poll(() => stored()).toEqual([1]);
      await stream.append(SUBJECT, message(2), 1);
      await stream.append(SUBJECT, message(3), 2);
      path.hear();
      expect(await result).toEqual({ ok: true, sequence: 1 });
      expect(await stored()).toEqual([1, 2, 3]);
    });

    it('that lost the race while its answers were lost is a conflict, not a success', async () => {
      const path = await front();
      const writer = new EventStream({
        link: await open(path.url, 400),
        stream: 'LOG',
        schema,
        patienceMs: PATIENCE_MS,
      });
      await stream.append(SUBJECT, message(7), 0);
      path.swallowAnswers();
      const result = writer.append(SUBJECT, message(1), 0);
      await elapse(500);
      path.hear();
      expect(await result).toEqual({ ok: false, conflict: true, lastSequence: 1 });
      expect(await stored()).toEqual([7]);
    });

    it('is stored exactly once each, through SIGKILLs of the server at any moment', async () => {
      const told: number[] = [];
      const refused: AppendResult[] = [];
      const done = new AbortController();
      const writing = (async () => {
        let last = 0;
        for (let n = 1; !done.signal.aborted; n += 1) {
          await link.waitConnected(PATIENCE_MS);
          const result = await stream.append(SUBJECT, message(n), last);
          if (!result.ok) {
            refused.push(result);
            continue;
          }
          told.push(n);
          last = result.sequence;
        }
      })();
      for (let kill = 0; kill < 4; kill += 1) {
        await elapse(100 + 37 * kill);
        await server.kill();
        await server.restart();
      }
      await elapse(300);
      done.abort();
      await writing;
      // Only what was certainly never sent may have been refused.
      expect(refused.filter((result) => result.ok || result.conflict || result.stored !== 'no')).toEqual([]);
      expect(told.length).toBeGreaterThan(50);
      expect(await stored()).toEqual(told);
    });

    it('to a frozen server is unknown after its patience, and either stored once or not at all', async () => {
      const hasty = new EventStream({ link: await open(server.url, 400), stream: 'LOG', schema, patienceMs: 1000 });
      await server.pause();
      const result = await hasty.append(SUBJECT, message(1), 0);
      expect(result).toMatchObject({ ok: false, conflict: false, stored: 'unknown' });
      await server.resume();
      await link.waitConnected(PATIENCE_MS);
      // The late writes are in the server's queue before this one.
      const next = await stream.append(SUBJECT, message(2), 0);
      expect(await stored()).toEqual(next.ok ? [2] : [1]);
    });

    it('to a server that froze for less than the patience succeeds once', async () => {
      const asking = await open(server.url, 400);
      const patient = new EventStream({ link: asking, stream: 'LOG', schema, patienceMs: PATIENCE_MS });
      await server.pause();
      const result = patient.append(SUBJECT, message(1), 0);
      await elapse(1500);
      await server.resume();
      expect(await result).toMatchObject({ ok: true });
      expect(await stored()).toEqual([1]);
    });
  });

  describe('replaying', () => {
    it('goes from any sequence to the end and hands out invalid messages as problems', async () => {
      await stream.append(SUBJECT, message(1), 0);
      link.publish(SUBJECT, 'garbage');
      link.session().connection.publish(SUBJECT, new Uint8Array([0xff, 0x00]));
      await expect.poll(() => stream.lastSequence(SUBJECT)).toBe(3);
      await stream.append(SUBJECT, message(4), 3);
      expect(await stored()).toEqual([1, Number.NaN, Number.NaN, 4]);
      expect(link.counters.invalid).toBe(2);
      const tail: StoredRecord<Message>[] = [];
      for await (const record of stream.replay(SUBJECT, { fromSequence: 4 })) tail.push(record);
      expect(tail.map(({ sequence }) => sequence)).toEqual([4]);
    });

    it('is in order and whole over many batches, next to other subjects', async () => {
      const { connection } = link.session();
      for (let n = 1; n <= 2000; n += 1) {
        connection.publish(n % 2 === 0 ? SUBJECT : 'shard.events.ns.other.uid', JSON.stringify(message(n)));
      }
      await connection.flush();
      await expect.poll(async () => (await stream.facts()).lastSequence).toBe(2000);
      expect(await stored()).toEqual(Array.from({ length: 1000 }, (_, index) => 2 * (index + 1)));
    });

    it('of a stream that is gone is a coded error', async () => {
      await link.session().jsm.streams.delete('LOG');
      await expect(stored()).rejects.toMatchObject({ code: 'SC_STREAM_MISSING' });
    });
  });

  describe('last values', () => {
    const subject = (shard: string): string => `shard.assignments.ns.config.${shard}`;
    let values: LastValueStream<Message>;
    beforeEach(async () => {
      await ensureStream(link, lastValueStream({ name: 'VALUES', subjects: ['shard.assignments.>'] }));
      values = new LastValueStream({ link, stream: 'VALUES', schema });
    });

    it('only the newest is kept', async () => {
      expect(await values.get(subject('a'))).toBeUndefined();
      await values.publish(subject('a'), message(1));
      await values.publish(subject('a'), message(2));
      expect(await values.get(subject('a'))).toMatchObject({ sequence: 2, body: { ok: true, value: { n: 2 } } });
      expect((await values.facts()).messages).toBe(1);
    });

    it('an expectation guards against another writer', async () => {
      await values.publish(subject('a'), message(1), 0);
      expect(await values.publish(subject('a'), message(2), 0)).toMatchObject({ ok: false, conflict: true });
      expect(await values.publish(subject('a'), message(3), 1)).toEqual({ ok: true, sequence: 2 });
    });

    it('can be deleted by pattern', async () => {
      await values.publish(subject('a'), message(1));
      await values.publish(subject('b'), message(2));
      expect(await values.remove('shard.assignments.ns.config.*')).toBe(2);
      expect(await values.get(subject('a'))).toBeUndefined();
    });
  });
});
