import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createLogger } from '../../observability/index.ts';
import { elapse, ManualClock, settle, waitUntil } from '../../testing/index.ts';
import { KubernetesClient, staticEndpoint } from '../client/index.ts';
import { FakeApiServer, sendStatus } from '../testing/fake-api-server.ts';
import { EventRecorder, type EventRecorderOptions } from './event-recorder.ts';

const EVENTS = '/apis/events.k8s.io/v1/namespaces/x/events';
const config = {
  apiVersion: 'shard.io/v1',
  kind: 'ShardConfig',
  metadata: { name: 'main', namespace: 'x', uid: 'u-1', resourceVersion: '7' },
};
const failed = {
  type: 'Warning',
  reason: 'ShardFailed',
  action: 'Failover',
  note: 'shard-000 does not answer',
} as const;

let server: FakeApiServer;
let client: KubernetesClient;
let clock: ManualClock;
let stop: AbortController;
let running: Promise<void>;
let log: string[];

function recorder(options: Partial<EventRecorderOptions> = {}): EventRecorder {
  const made = new EventRecorder({
    client,
    clock,
    logger: createLogger({ name: 'test', destination: { write: (line) => void log.push(line) } }),
    controller: 'shard.io/shard-controller',
    instance: 'manager-0',
    random: () => 1,
    ...options,
  });
  running = made.run(stop.signal);
  return made;
}

function events(): readonly Readonly<Record<string, unknown>>[] {
  return server.store(EVENTS).list();
}

/** Moves the clock until `condition` holds: network answers take real time, waits do not. */
async function advanceUntil(what: string, condition: () => boolean, stepMs: number): Promise<void> {
  for (let step = 0; step < 200 && !condition(); step += 1) {
    await clock.advance(stepMs);
    await elapse(5);
  }
  if (!condition()) throw new Error(`still not so: ${what}`);
}

beforeEach(async () => {
  server = await FakeApiServer.start();
  log = [];
  client = new KubernetesClient({
    endpoint: staticEndpoint({ server: server.url, ca: server.serving.certificate }),
    logger: createLogger({ name: 'test', level: 'silent' }),
    userAgent: 'test',
  });
  clock = new ManualClock();
  stop = new AbortController();
  running = Promise.resolve();
});

afterEach(async () => {
  stop.abort();
  await running;
  await client.close();
  await server.stop();
});

describe('EventRecorder', () => {
  it('writes an event on the object, with all that the API demands', async () => {
    recorder().record(config, failed);
    await waitUntil('it is written', () => events().length === 1);
    expect(events()[0]).toMatchObject({
      type: 'Warning',
      reason: 'ShardFailed',
      action: 'Failover',
      note: 'shard-000 does not answer',
      reportingController: 'shard.io/shard-controller',
      reportingInstance: 'manager-0',
      eventTime: '2023-11-14T22:13:21.000000Z',
      regarding: { kind: 'ShardConfig', name: 'main', namespace: 'x', uid: 'u-1' },
    });
  });

  it('counts repeats on the first event, at most every 10 s', async () => {
    const events10 = recorder();
    events10.record(config, failed);
    await waitUntil('the first is written', () => events().length === 1);
    await settle();
    for (let n = 0; n < 50; n += 1) events10.record(config, failed);
    await clock.advance(9_000);
    await settle();
    expect(events()[0]?.['series']).toBeUndefined();
    await advanceUntil('the series is written', () => events()[0]?.['series'] !== undefined, 500);
    expect(events()).toHaveLength(1);
    expect(events()[0]?.['series']).toMatchObject({ count: 51 });
    expect(server.requests).toHaveLength(2);
  });

  it('tells different things, and the same thing on different objects, apart', async () => {
    const three = recorder();
    three.record(config, failed);
    three.record(config, { ...failed, note: 'shard-001 does not answer' });
    three.record({ ...config, metadata: { ...config.metadata, name: 'other', uid: 'u-2' } }, failed);
    await waitUntil('all are written', () => events().length === 3);
    expect(events().every((event) => event['series'] === undefined)).toBe(true);
  });

  it('starts a new event when the server has forgotten the old one, and after a long pause', async () => {
    const again = recorder();
    again.record(config, failed);
    await waitUntil('the first is written', () => events().length === 1);
    for (const { metadata } of server.store(EVENTS).list()) server.store(EVENTS).delete(metadata.name);
    again.record(config, failed);
    await advanceUntil('it is written again', () => events().length === 1, 1_000);
    await clock.advance(7 * 60_000);
    again.record(config, failed);
    await waitUntil('a second event', () => events().length === 2);
    expect(events()[1]?.['series']).toBeUndefined();
  });

  it('tries again when the server is not well', async () => {
    server.inject('object', (_, response) => sendStatus(response, 503, 'ServiceUnavailable', 'x'), 3);
    recorder().record(config, failed);
    await advanceUntil('it is written', () => events().length === 1, 500);
    expect(server.requests).toHaveLength(4);
  });

  it('says a thing once when the answer to its first try is lost', async () => {
    server.inject('object', (request, response) => {
      const event = JSON.parse(request.body) as { metadata: { name: string } };
      server.store(EVENTS).put(event.metadata.name, event);
      response.socket?.destroy();
    });
    const once = recorder();
    once.record(config, failed);
    once.record(config, failed);
    await advanceUntil('the count is there', () => events()[0]?.['series'] !== undefined, 500);
    expect(events()).toHaveLength(1);
  });

  it('drops what is refused, says why, and continues', async () => {
    server.inject('object', (_, response) =>
      sendStatus(
        response,
        403,
        'Forbidden',
        'User "u" cannot create resource "events" in API group "events.k8s.io" in the namespace "x"',
      ),
    );
    const refused = recorder();
    refused.record(config, failed);
    await waitUntil('it is logged', () =>
      log.some((line) => line.includes('grant `create` on `events.events.k8s.io`')),
    );
    refused.record(config, { ...failed, note: 'another' });
    await waitUntil('the next is written', () => events().length === 1);
    expect(events()[0]).toMatchObject({ note: 'another' });
  });

  it('never throws and never grows without bound', async () => {
    server.inject('object', () => {}, 1);
    const small = recorder({ capacity: 10 });
    for (let n = 0; n < 1_000; n += 1) small.record(config, { ...failed, note: `note ${n}` });
    const circular: Record<string, unknown> = {};
    circular['metadata'] = { name: circular };
    expect(() => small.record(circular, failed)).not.toThrow();
    stop.abort();
    await running;
    expect(events().length).toBeLessThanOrEqual(11);
  });

  it('writes what is left when it stops', async () => {
    const last = recorder();
    await settle();
    last.record(config, failed);
    stop.abort();
    await running;
    expect(events()).toHaveLength(1);
  });
});
