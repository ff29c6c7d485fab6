import {
  compareLog,
  type DecisionEnvelope,
  decisionEnvelopeSchema,
  EventLog,
  type LogHead,
  type NewDecision,
} from '@shard-controller/manager/event-log';
import {
  appendOnlyStream,
  connectNats,
  EventStream,
  ensureStream,
  type NatsLink,
  type StreamReset,
} from '@shard-controller/shared/nats';
import { elapse, PATIENCE_MS, retried } from '@shard-controller/shared/testing';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { type NatsServer, startNatsServer } from './nats-server.ts';
import { RecordingLogger } from './recording-logger.ts';

const SUBJECT = 'shard.events.ns.config.uid';
const log = appendOnlyStream({ name: 'LOG', subjects: ['shard.events.>'] });

async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const collected: T[] = [];
  for await (const item of items) collected.push(item);
  return collected;
}

const schema = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('shard.added.v2'), slots: z.array(z.int()) }),
  z.strictObject({ type: z.literal('shard.renamed.v1'), name: z.string() }),
]);
type Event = z.infer<typeof schema>;
interface State {
  readonly total: number;
  readonly name: string;
  readonly epochs: readonly number[];
}
const initial: State = { total: 0, name: '', epochs: [] };

function evolve(state: State, event: Event, sequence: number): State {
  const epochs = state.epochs.length < 50 ? [...state.epochs, sequence] : state.epochs;
  if (event.type === 'shard.renamed.v1') return { ...state, epochs, name: event.name };
  return { ...state, epochs, total: state.total + event.slots.length };
}

const added = (...slots: number[]): Event => ({ type: 'shard.added.v2', slots });
const decision = (...events: Event[]): NewDecision<Event> => ({
  at: 1000,
  manager: { identity: 'manager-0_abc', term: 3 },
  generation: 1,
  command: 'Tick',
  reason: 'because the test says so',
  events,
});

describe('the event log', () => {
  let server: NatsServer;
  let link: NatsLink;
  let logger: RecordingLogger;
  let stream: EventStream<DecisionEnvelope>;
  let events: EventLog<Event, State>;
  let cleanUp: (() => Promise<void>)[] = [];

  function logOn(target: EventStream<DecisionEnvelope>): EventLog<Event, State> {
    return new EventLog({
      stream: target,
      subject: SUBJECT,
      schema,
      upcasters: { 'shard.added.v1': ({ slot }) => ({ type: 'shard.added.v2', slots: [slot] }) },
      initial,
      evolve,
      logger,
    });
  }

  async function open(): Promise<NatsLink> {
    const opened = await connectNats({ servers: server.url, name: 'test', logger, requestTimeoutMs: 10_000 });
    cleanUp.push(() => opened.close());
    return opened;
  }

  async function appended(head: LogHead<State>, ...decided: Event[]): Promise<LogHead<State>> {
    const result = await events.append(head, decision(...decided));
    if (result.kind !== 'appended') throw new Error(`not appended: ${JSON.stringify(result)}`);
    return result.head;
  }

  async function written(body: unknown): Promise<void> {
    const before = await stream.lastSequence(SUBJECT);
    link.publish(SUBJECT, body);
    await expect.poll(() => stream.lastSequence(SUBJECT)).toBeGreaterThan(before);
  }

  beforeEach(async () => {
    logger = new RecordingLogger();
    server = await startNatsServer();
    cleanUp = [() => server.dispose()];
    link = await open();
    await retried(() => ensureStream(link, log));
    stream = new EventStream({ link, stream: 'LOG', schema: decisionEnvelopeSchema });
    events = logOn(stream);
  });
  afterEach(async () => {
    for (const step of cleanUp.toReversed()) await step();
  });

  it('folds to the same state live and from the stored log, one epoch per decision', async () => {
    let head = await events.load();
    expect(head).toMatchObject({ state: initial, sequence: 0, decisions: 0 });
    head = await appended(head, added(1, 2), { type: 'shard.renamed.v1', name: 'x' });
    head = await appended(head, added(3));
    expect(head.state).toEqual({ total: 3, name: 'x', epochs: [1, 1, 2] });
    expect(await logOn(stream).load()).toEqual(head);
    expect(compareLog(head, { generation: 1, epoch: 2 })).toBe('continue');
    expect(compareLog(head, { generation: 1, epoch: 3 })).toBe('behind');
  });

  it('keeps who decided, on what and why', async () => {
    await appended(await events.load(), added(1));
    const decisions = await collect(events.decisions());
    expect(decisions).toMatchObject([
      { ...decision(added(1)), sequence: 1, id: expect.stringMatching(/^[0-9a-f-]{36}$/) },
    ]);
  });

  it('a second leader gets a conflict, loads again and goes on', async () => {
    const rival = logOn(new EventStream({ link: await open(), stream: 'LOG', schema: decisionEnvelopeSchema }));
    const head = await events.load();
    await appended(head, added(1));
    expect(await rival.append(head, decision(added(2)))).toEqual({ kind: 'conflict', lastSequence: 1 });
    expect(await rival.append(await rival.load(), decision(added(2)))).toMatchObject({ kind: 'appended' });
    expect((await events.load()).state.total).toBe(2);
  });

  /** More than one message holds. */
  const large = (n: number): Event => added(...Array.from({ length: 30_000 }, (_, i) => i + n));

  it('stores a decision that is too large for a message in several, as one', async () => {
    const before = await appended(await events.load(), added(1));
    const head = await appended(before, large(0), { type: 'shard.renamed.v1', name: 'x' });
    expect(head.sequence).toBeGreaterThan(before.sequence + 1);
    expect(head).toMatchObject({ decisions: 2, lastSequence: head.sequence, skipped: 0 });
    expect(head.state).toEqual({ total: 30_001, name: 'x', epochs: [1, head.sequence, head.sequence] });
    expect(await logOn(stream).load()).toEqual(head);
    const decisions = await collect(events.decisions());
    expect(decisions.map(({ sequence }) => sequence)).toEqual([1, head.sequence]);
    expect((await appended(head, added(7))).state.total).toBe(30_002);
  });

  it('takes nothing of a decision whose last part was never written, and goes on after it', async () => {
    const head = await appended(await events.load(), added(1));
    let left = 2;
    const dying = {
      facts: () => stream.facts(),
      append: (subject: string, message: DecisionEnvelope, expected: number) =>
        left-- > 0 ? stream.append(subject, message, expected) : Promise.reject(new Error('killed')),
    };
    const log = logOn(Object.assign(Object.create(stream), dying));
    await expect(log.append(head, decision(large(0)))).rejects.toThrow('killed');
    const found = await events.load();
    expect(found).toMatchObject({ decisions: 1, sequence: 3, lastSequence: 1, state: { total: 1 } });
    expect(await events.append(head, decision(added(2)))).toMatchObject({ kind: 'conflict' });
    const next = await appended(found, added(2));
    expect(await logOn(stream).load()).toMatchObject({ decisions: 2, state: { total: 2 }, sequence: next.sequence });
    expect((await collect(events.decisions())).map(({ sequence }) => sequence)).toEqual([1, 4]);
  });

  it('is not led astray by a message between the parts, and says whose decision it was', async () => {
    const head = await appended(await events.load(), added(1));
    let parts = 0;
    const disturbed = {
      append: async (subject: string, message: DecisionEnvelope, expected: number) => {
        if (++parts === 2) await written('garbage');
        return stream.append(subject, message, expected);
      },
    };
    const log = logOn(Object.assign(Object.create(stream), disturbed));
    expect(await log.append(head, decision(large(0)))).toMatchObject({ kind: 'conflict' });
    expect(await events.load()).toMatchObject({ decisions: 1, skipped: 1, state: { total: 1 } });
  });

  it('two managers that race for 60 decisions lose none and double none', async () => {
    const rivals = [
      events,
      logOn(new EventStream({ link: await open(), stream: 'LOG', schema: decisionEnvelopeSchema })),
    ];
    const wins = await Promise.all(
      rivals.map(async (rival) => {
        let [won, head] = [0, await rival.load()];
        while (won < 30) {
          const result = await rival.append(head, decision(added(won)));
          if (result.kind === 'appended') [won, head] = [won + 1, result.head];
          else head = await rival.load();
        }
        return won;
      }),
    );
    expect(wins).toEqual([30, 30]);
    expect(await events.load()).toMatchObject({ decisions: 60, state: { total: 60 } });
  });

  it('skips an invalid message, counts it, says so, and appends after it', async () => {
    const head = await appended(await events.load(), added(1));
    await written('garbage');
    await written({ v: 'shard.decision.v1', id: 'half a decision' });
    await written({ type: 'shard.added.v2', slots: [1] });
    expect(await events.append(head, decision(added(2)))).toEqual({ kind: 'conflict', lastSequence: 4 });
    const again = await events.load();
    expect(again).toMatchObject({ state: head.state, sequence: 4, lastSequence: 1, skipped: 3 });
    expect(logger.text('warn')).toMatch(/not a decision: skipped.*SC_LOG_MESSAGE_INVALID.*"sequence":2/);
    expect((await appended(again, added(2))).state.total).toBe(2);
  });

  it('folds on from a head that it knows, and reads nothing twice', async () => {
    let head = await appended(await events.load(), added(1));
    await written('garbage');
    const rival = logOn(stream);
    await rival.append(await rival.load(), decision(added(2, 3)));
    logger.lines.length = 0;
    head = await events.resume(head);
    expect(logger.lines.filter(({ level }) => level === 'warn')).toHaveLength(1);
    expect(head).toEqual(await logOn(stream).load());
    logger.lines.length = 0;
    await written('more garbage');
    const next = await events.resume(head);
    expect(next).toMatchObject({ state: head.state, sequence: 4, lastSequence: 3, skipped: 2, decisions: 2 });
    expect(logger.lines.filter(({ level }) => level === 'warn')).toHaveLength(1);
  });

  it('does not fold on where the log is another one than that of the head', async () => {
    const head = await appended(await events.load(), added(1));
    const changed: LogHead<State> = { ...head, lastId: 'another decision', state: { ...head.state, total: 99 } };
    expect(await events.resume(changed)).toEqual(head);
    await link.session().jsm.streams.delete('LOG');
    await retried(() => ensureStream(link, log));
    expect(await events.resume(head)).toMatchObject({ state: initial, sequence: 0 });
  });

  it('reads old versions through upcasters', async () => {
    await appended(await events.load(), added(1));
    const [stored] = await collect(stream.replay(SUBJECT));
    await written({
      ...(stored?.body.ok ? stored.body.value : {}),
      id: 'old',
      events: [{ type: 'shard.added.v1', slot: 9 }],
    });
    expect((await events.load()).state.total).toBe(2);
  });

  it('stops with a named error at an event, or a format, of a newer version', async () => {
    await appended(await events.load(), added(1));
    const [stored] = await collect(stream.replay(SUBJECT));
    await written({ ...(stored?.body.ok ? stored.body.value : {}), id: 'new', events: [{ type: 'shard.warped.v1' }] });
    await expect(events.load()).rejects.toMatchObject({
      code: 'SC_EVENT_UNKNOWN',
      type: 'shard.warped.v1',
      sequence: 2,
    });
    const other = 'shard.events.ns.config.other';
    link.publish(other, { v: 'shard.decision.v9', id: 'newer', anything: true });
    await expect.poll(() => stream.lastSequence(other)).toBe(3);
    const newer = new EventLog({ stream, subject: other, schema, initial, evolve, logger });
    await expect(newer.load()).rejects.toMatchObject({ code: 'SC_EVENT_UNKNOWN', type: 'shard.decision.v9' });
  });

  it("a standby that follows has the leader's state, through a SIGKILL of the server", async () => {
    let head = await appended(await events.load(), added(1));
    const stop = new AbortController();
    let standby: LogHead<State> | undefined;
    const follower = logOn(new EventStream({ link: await open(), stream: 'LOG', schema: decisionEnvelopeSchema }));
    const following = follower.follow(await follower.load(), {
      signal: stop.signal,
      onHead: (next) => void (standby = next),
      onUnreadable: (error) => expect.unreachable(error.message),
    });
    for (let n = 0; n < 10; n += 1) head = await appended(head, added(n));
    await server.kill();
    await server.restart();
    await link.waitConnected(PATIENCE_MS);
    for (let n = 0; n < 10; n += 1) head = await appended(head, added(n));
    await expect.poll(() => standby).toEqual(head);
    stop.abort();
    await following;
  });

  it('a standby whose callback fails does not fold a decision twice', async () => {
    const stop = new AbortController();
    const totals: number[] = [];
    let failures = 1;
    const following = events.follow(await events.load(), {
      signal: stop.signal,
      onHead: ({ state }) => {
        if (failures-- > 0) throw new Error('not now');
        totals.push(state.total);
      },
      onUnreadable: (error) => expect.unreachable(error.message),
    });
    const head = await appended(await events.load(), added(1));
    await appended(head, added(2));
    await expect.poll(() => totals).toEqual([1, 2]);
    stop.abort();
    await following;
  });

  it('a standby starts again from nothing when the stream was re-created, and ends at what it cannot read', async () => {
    const head = await appended(await events.load(), added(1, 2, 3));
    const resets: StreamReset[] = [];
    const heads: LogHead<State>[] = [];
    const unreadable: Error[] = [];
    const following = events.follow(head, {
      signal: new AbortController().signal,
      probeMs: 200,
      onHead: (next) => void heads.push(next),
      onReset: (reset) => void resets.push(reset),
      onUnreadable: (error) => void unreadable.push(error),
    });
    await elapse(300);
    await link.session().jsm.streams.delete('LOG');
    await ensureStream(link, log);
    const fresh = await events.load();
    expect(compareLog(fresh, { generation: 1, epoch: 1 })).toBe('lost');
    await appended(fresh, added(7));
    await expect.poll(() => heads.at(-1)?.state).toEqual({ total: 1, name: '', epochs: [1] });
    expect(resets).toMatchObject([{ reason: 'recreated' }]);
    link.publish(SUBJECT, { v: 'shard.decision.v9', id: 'newer' });
    await following;
    expect(unreadable).toMatchObject([{ code: 'SC_EVENT_UNKNOWN' }]);
  });

  it('folds 10,000 decisions fast enough to need no snapshots', async () => {
    await appended(await events.load(), added(1));
    const [stored] = await collect(stream.replay(SUBJECT));
    const template = stored?.body.ok ? stored.body.value : { v: '', id: '' };
    const { connection, js } = link.session();
    for (let n = 1; n < 10_000; n += 1) {
      connection.publish(SUBJECT, JSON.stringify({ ...template, id: `bulk-${n}` }));
      if (n % 500 === 0) await js.publish('shard.events.pace', '', { timeout: PATIENCE_MS });
    }
    await js.publish('shard.events.pace', '', { timeout: PATIENCE_MS });
    const before = process.cpuUsage();
    const head = await events.load();
    const { user, system } = process.cpuUsage(before);
    const ms = (user + system) / 1000;
    console.info(`10,000 decisions folded in ${ms.toFixed(0)} ms of CPU`);
    expect(head).toMatchObject({ decisions: 10_000, state: { total: 10_000 } });
    expect(ms).toBeLessThan(5000);
  });
});
