import { INSPECTION_PREFIX, type InspectionEndpoint, inspectionAnswers } from '@shard-controller/shared/contracts';
import { MAX_MESSAGE_BYTES } from '@shard-controller/shared/nats';
import { ManualClock } from '@shard-controller/shared/testing';
import { describe, expect, it } from 'vitest';
import { defaultSettings, evolve, initialState, type ShardConfigState, type ShardEvent } from '../aggregate/index.ts';
import { inspectionService } from './inspection.ts';

type Delivered = { readonly data: Uint8Array; respond(data: string, options?: { headers?: unknown }): boolean };

interface Decided {
  readonly reason: string;
  readonly events: readonly ShardEvent[];
}

/** A manager that has decided these, behind the subjects on which it listens. */
function manager(decisions: readonly Decided[], over: Partial<ShardConfigState> = {}) {
  let state = initialState;
  const log = decisions.map(({ reason, events }, i) => {
    const sequence = i + 1;
    for (const event of events) state = evolve(state, event, sequence);
    return { sequence, at: 1_000 * sequence, manager: { identity: 'm', term: 1 }, command: 'Tick', reason, events };
  });
  const listeners = new Map<string, (message: Delivered) => void>();
  const config = { namespace: 'monitoring', name: 'main', uid: 'uid-1' };
  const service = inspectionService({
    link: {
      subscribeRaw: (subject: string, deliver: (message: never) => void) => {
        listeners.set(subject, deliver as (message: Delivered) => void);
        return { unsubscribe: () => void listeners.delete(subject) };
      },
    },
    clock: new ManualClock(),
    identity: 'manager-1_abc',
    namespace: 'monitoring',
    runners: () => [
      {
        config,
        state: { ...state, ...over },
        hold: undefined,
        log: {
          decisions: async function* (from = 1) {
            for (const decision of log)
              if (decision.sequence >= from) yield { ...decision, id: '', stream: '', generation: 1 };
          },
        } as never,
      },
    ],
    worker: (_, shardId) => ({ pod: `main-a-${Number(shardId.slice(-3))}`, objects: 1_000 }),
  });
  service.open();
  const ask = async (subject: string, body?: object | string) => {
    const deliver = listeners.get(subject);
    if (deliver === undefined) return 'no responders';
    const { promise, resolve } = Promise.withResolvers<string>();
    const data = Buffer.from(body === undefined ? '' : typeof body === 'string' ? body : JSON.stringify(body));
    deliver({ data, respond: (text) => (resolve(text), true) });
    const text = await promise;
    expect(Buffer.byteLength(text)).toBeLessThanOrEqual(MAX_MESSAGE_BYTES);
    return JSON.parse(text);
  };
  const inspect = async (endpoint: InspectionEndpoint, query?: object) => {
    const answer = await ask(`${INSPECTION_PREFIX}.${endpoint}`, query);
    return answer.error === undefined ? inspectionAnswers[endpoint].parse(answer) : answer;
  };
  return { ask, inspect, service, listeners };
}

const slots = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, i) => from + i);
const shard = (n: number): string => `shard-${String(n).padStart(3, '0')}`;

const accepted: ShardEvent = {
  type: 'shard.config.accepted.v1',
  at: 0,
  uid: 'uid-1',
  namespace: 'monitoring',
  name: 'main',
  specGeneration: 1,
  settings: { ...defaultSettings, minShards: 1, maxShards: 10, slotCount: 256 },
  revision: 'r1',
};
const started: readonly Decided[] = [
  {
    reason: 'a spec was accepted',
    events: [accepted, { type: 'shard.scaled.v1', at: 0, from: 0, to: 2, trigger: 'initial', reason: 'minShards' }],
  },
  {
    reason: 'all shards are ready',
    events: [
      {
        type: 'shard.slots.assigned.v1',
        at: 0,
        cause: 'cold-start',
        moves: [
          { from: null, to: shard(0), slots: slots(0, 128) },
          { from: null, to: shard(1), slots: slots(128, 256) },
        ],
        releases: [],
        reason: 'all 2 shards are ready',
      },
    ],
  },
];
const migration = { type: 'shard.migration.planned.v1', at: 0, id: 'g1-m1', cause: 'rebalance' } as const;
const moved: readonly Decided[] = [
  ...started,
  {
    reason: 'balance',
    events: [{ ...migration, source: shard(0), target: shard(1), slots: [17], reason: '1 of 1 slots' }],
  },
  { reason: 'turn', events: [{ type: 'shard.migration.started.v1', at: 0, id: 'g1-m1', deadline: 9 }] },
  {
    reason: 'scraped',
    events: [{ type: 'shard.migration.committed.v1', at: 0, id: 'g1-m1', because: 'scraped', reason: 'all scrapers' }],
  },
  {
    reason: 'released',
    events: [{ type: 'shard.migration.completed.v1', at: 0, id: 'g1-m1', durationMs: 2_500, released: true }],
  },
];

describe('inspection', () => {
  it('answers an empty request with everything', async () => {
    const { inspect } = manager(started);
    const { items } = await inspect('status');
    expect(items).toMatchObject([{ config: 'main', known: true, desiredShards: 2, slots: 256, unownedSlots: 0 }]);
    expect((await inspect('shards')).items).toMatchObject([
      { shard: 'shard-000', slots: 128, objects: 1_000 },
      { shard: 'shard-001', slots: 128 },
    ]);
  });

  it('says which shard has a slot, since when and why', async () => {
    const { inspect } = manager(moved);
    expect((await inspect('where', { slot: 17 })).items).toMatchObject([
      { shard: 'shard-001', pod: 'main-a-1', since: 5_000, sequence: 5, why: expect.stringContaining('g1-m1') },
    ]);
    expect((await inspect('where', { slot: 18 })).items).toMatchObject([
      { shard: 'shard-000', since: 2_000, why: 'cold-start: all 2 shards are ready' },
    ]);
    // The hash of KEP-5866, which kubectl can compute, too.
    expect((await inspect('where', { uid: 'a' })).items).toMatchObject([{ slot: 0xaf }]);
  });

  it('tells of a slot whose way is older than what the log still has that it does not know since when', async () => {
    const { inspect } = manager(started, { owners: Array.from({ length: 256 }, () => 'shard-001') });
    const [item] = (await inspect('where', { slot: 3 })).items;
    expect(item).toMatchObject({ shard: 'shard-001' });
    expect(item).not.toHaveProperty('since');
  });

  it('plans another number of shards without changing anything', async () => {
    const { inspect } = manager(moved);
    const [plan] = (await inspect('plan', { shards: 4 })).items;
    expect(plan).toMatchObject({ from: 2, to: 4, moved: 128, minimum: 128, lastMovesMs: { moves: 1, median: 2_500 } });
    expect(plan.objects).toBeGreaterThan(900);
    expect((await inspect('plan', { shards: 50 })).items[0].blocked).toContain('spec.maxShards 10');
    expect((await inspect('plan', { strategy: 'none' })).error.message).toContain('use one of consistent-hash');
  });

  it('explains a decision, and a migration step by step', async () => {
    const { inspect } = manager(moved);
    const steps = (await inspect('explain', { config: 'main', migration: 'g1-m1' })).items;
    expect(steps.map(({ sequence }: { sequence: number }) => sequence)).toEqual([3, 4, 5, 6]);
    expect(steps[1].says).toEqual(['migration g1-m1 (shard-000 -> shard-001): Preparation']);
    const [decision] = (await inspect('explain', { config: 'main', sequence: 2 })).items;
    expect(decision.events[0]).toMatchObject({ type: 'shard.slots.assigned.v1', cause: 'cold-start' });
  });

  it('lists the newest decisions, or those from a sequence on, page by page', async () => {
    const { inspect } = manager(moved);
    const sequences = ({ items }: { items: { sequence: number }[] }) => items.map(({ sequence }) => sequence);
    expect(sequences(await inspect('events', { limit: 2 }))).toEqual([5, 6]);
    const page = await inspect('events', { from: 1, limit: 4 });
    expect(sequences(page)).toEqual([1, 2, 3, 4]);
    expect(page.next).toBe(5);
    expect(await inspect('events', { from: 5, limit: 4 })).not.toHaveProperty('next');
  });

  it.each([
    ['status', { config: 'other' }, 'there are: main'],
    ['status', { shards: 3 }, 'Unrecognized key'],
    ['where', {}, 'give the `uid`'],
    ['where', { slot: 256 }, 'numbered from 0'],
    ['explain', { config: 'main' }, 'either `sequence`'],
    ['explain', { config: 'main', migration: 'g9-m9' }, 'names g9-m9'],
  ] as const)('says what is wrong with %s %j', async (endpoint, query, text) => {
    const { error } = await manager(moved).inspect(endpoint, query);
    expect(error).toMatchObject({ code: 'SC_INSPECT_QUERY', message: expect.stringContaining(text) });
  });

  it('answers within the size of a message for the largest fleet, and pages on to its end', async () => {
    const many = slots(0, 1000).map((n) => [shard(n), { ...shardState, shardId: shard(n), ordinal: n }]);
    const { inspect } = manager(started, {
      shards: Object.fromEntries(many),
      owners: slots(0, 4096).map((slot) => shard(slot % 1000)),
      settings: { ...defaultSettings, slotCount: 4096 },
    });
    const seen: string[] = [];
    for (let offset: number | undefined = 0; offset !== undefined; ) {
      const page: { items: { shard: string }[]; next?: number } = await inspect('shards', { offset });
      seen.push(...page.items.map((item) => item.shard));
      offset = page.next;
    }
    expect(seen).toHaveLength(1000);
    expect(new Set(seen).size).toBe(1000);
    expect((await inspect('plan', { shards: 999 })).items).toHaveLength(1);
  });
});

const shardState = {
  shardId: '',
  ordinal: 0,
  active: 'a',
  health: 'Healthy',
  since: 0,
  revision: 'r1',
  draining: false,
  hasServed: true,
  stale: null,
  epoch: 1,
} as const;

describe('the NATS service', () => {
  it('is found, describes itself and counts what it was asked', async () => {
    const { ask, inspect } = manager(started);
    await inspect('status');
    await inspect('where', {});
    expect(await ask('$SRV.PING')).toMatchObject({ name: 'shard-inspect', type: 'io.nats.micro.v1.ping_response' });
    const { endpoints } = await ask('$SRV.INFO.shard-inspect.manager1abc');
    expect(JSON.parse(endpoints[2].metadata.request)).toMatchObject({ type: 'object', properties: { uid: {} } });
    const stats = await ask('$SRV.STATS.shard-inspect');
    expect(stats.endpoints[0]).toMatchObject({ name: 'status', num_requests: 1, num_errors: 0 });
    expect(stats.endpoints[2]).toMatchObject({
      num_errors: 1,
      last_error: expect.stringContaining('SC_INSPECT_QUERY'),
    });
  });

  it('is asked per namespace, too, and not heard by anybody while its manager does not lead', async () => {
    const { ask, service } = manager(started);
    expect(await ask('shard.inspect.v1.monitoring.status')).toMatchObject({ items: [{ config: 'main' }] });
    expect(await ask('shard.inspect.v1.other.status')).toBe('no responders');
    service.close();
    expect(await ask('shard.inspect.v1.status')).toBe('no responders');
    expect(await ask('$SRV.PING')).toMatchObject({ name: 'shard-inspect' });
  });
});
