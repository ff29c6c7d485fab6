import type { Heartbeat } from '@shard-controller/shared/contracts';
import { describe, expect, it } from 'vitest';
import {
  assignedSlots,
  type CommandBody,
  defaultSettings,
  evolve,
  initialState,
  type Settings,
  type ShardConfigState,
  type ShardEvent,
} from '../aggregate/index.ts';
import { decide, describeStatus } from '../decision/index.ts';
import { type ShardSources, WorkerRegistry, type WorkerSources } from '../observation/index.ts';
import { heartbeatOf } from '../testing/index.ts';
import { observedCommands, shardFigures } from './observed-commands.ts';

const STEP_MS = 500;
const FEEDS = 30;
const OBJECTS_PER_SLOT = 100;
/** From the end of a process to the first heartbeat of the next one, ms. */
const BOOT_MS = 1_500;
const [S0, S1, S2] = ['shard-000', 'shard-001', 'shard-002'] as const;

/** A worker whose exporter loads what is assigned to it at a steady pace, as its heartbeats tell it. */
class LoadingWorker {
  readonly #shardId: string;
  readonly #loadMs: number;
  #boot = 1;
  #sequence = 0;
  #heardFrom = 0;
  #begunAt: number;
  #assigned = 0;
  #hasBegun = false;
  /** When the load stopped to get on. */
  stoppedAt = Infinity;
  /** It is of the version before: it says Pending while lists run, and nothing of what is shown. */
  isOlder = false;
  /** Feeds that grow one after the other, as without pushdown, or all together. */
  growsByFeed = true;

  constructor(shardId: string, loadMs: number, now: number) {
    this.#shardId = shardId;
    this.#loadMs = loadMs;
    this.#begunAt = now;
  }

  /** The process, and its exporter with it, starts again. */
  restart(now: number): void {
    this.#boot += 1;
    this.#sequence = 0;
    this.#heardFrom = now + BOOT_MS;
    this.#begunAt = this.#heardFrom;
  }

  heartbeat(state: ShardConfigState, now: number): Heartbeat | undefined {
    if (now < this.#heardFrom) return undefined;
    const slots = assignedSlots(state).get(this.#shardId);
    const assigned = slots?.owned.length ?? 0;
    if (assigned > this.#assigned) this.#begunAt = now;
    this.#assigned = assigned;
    this.#hasBegun ||= assigned > 0;
    const share = Math.min(1, (Math.min(now, this.stoppedAt) - this.#begunAt) / this.#loadMs);
    const isDone = !this.#hasBegun || share >= 1;
    const shown = isDone ? assigned : 0;
    const synced = isDone ? FEEDS : Math.floor(this.growsByFeed ? share * FEEDS : 0);
    this.#sequence += 1;
    return heartbeatOf({
      shardId: this.#shardId,
      pod: `main-a-${Number(this.#shardId.slice('shard-'.length))}`,
      boot: `b${this.#boot}`,
      sequence: this.#sequence,
      phase: isDone ? 'Running' : this.isOlder ? 'Pending' : 'Warming',
      epoch: state.shards[this.#shardId]?.epoch ?? 0,
      generation: state.generation,
      feeds: { synced, total: FEEDS, oldestProofMs: 10 },
      gateway: { state: isDone ? 'serving' : 'warming', reason: '', scrapers: [] },
      slots: { assigned, acknowledged: shown, ...(this.isOlder ? {} : { shown }) },
      load: {
        ...heartbeatOf({}).load,
        // Live events make it go up and down, whatever is being loaded.
        objects: Math.floor(share * assigned * OBJECTS_PER_SLOT) + (this.#sequence % 3),
      },
      handovers: (slots?.release ?? []).map(({ migration }) => ({
        migration,
        role: 'source',
        state: 'released',
        objects: 0,
      })),
    });
  }
}

/** A manager's decisions over heartbeats, without any I/O. */
class Start {
  now = 100_000;
  state: ShardConfigState = initialState;
  readonly events: { readonly at: number; readonly event: ShardEvent }[] = [];
  readonly workers: ReadonlyMap<string, LoadingWorker>;
  readonly #registry = new WorkerRegistry();

  /** @param loadMs of each shard. */
  constructor(loadMs: readonly number[], settings: Partial<Settings> = {}) {
    const of = (ordinal: number): string => `shard-00${ordinal}`;
    this.workers = new Map(loadMs.map((ms, i) => [of(i), new LoadingWorker(of(i), ms, this.now)]));
    const shards = loadMs.length;
    this.#take({
      type: 'ConfigObserved',
      config: {
        uid: 'uid-1',
        namespace: 'monitoring',
        name: 'main',
        specGeneration: 1,
        revision: 'r1',
        settings: { ...defaultSettings, mode: 'Manual', shards, minShards: 1, slotCount: 64, ...settings },
      },
    });
  }

  worker(shardId: string): LoadingWorker {
    const worker = this.workers.get(shardId);
    if (worker === undefined) throw new Error(`no ${shardId}`);
    return worker;
  }

  run(ms: number): this {
    for (const end = this.now + ms; this.now < end; ) {
      this.now += STEP_MS;
      for (const [shardId, worker] of this.workers) {
        const heartbeat = worker.heartbeat(this.state, this.now);
        if (heartbeat === undefined) continue;
        const address = { namespace: 'monitoring', config: 'main', shardId, replica: 'a' } as const;
        this.#registry.heard(address, heartbeat, this.now, { boot: heartbeat.boot, at: this.now });
      }
      for (const command of observedCommands(this.state, this.#sourcesOf, this.now)) this.#take(command);
      this.#take({ type: 'Tick' });
    }
    return this;
  }

  owned(shardId: string): number {
    return this.state.owners.filter((owner) => owner === shardId).length;
  }

  /** Slots that got another owner, or are to get one, after the first assignment. */
  moved(): number {
    return this.events.flatMap(({ event }) => {
      if (event.type === 'shard.migration.planned.v1') return event.slots;
      if (event.type !== 'shard.slots.assigned.v1' || event.cause === 'cold-start') return [];
      return event.moves.flatMap(({ slots }) => slots);
    }).length;
  }

  health(shardId: string): string[] {
    return this.events.flatMap(({ event }) =>
      event.type === 'shard.health.changed.v1' && event.shardId === shardId ? [`${event.from} -> ${event.to}`] : [],
    );
  }

  ready(): string | undefined {
    const context = { now: this.now, ...shardFigures(this.state, this.#sourcesOf, this.now) };
    return describeStatus(this.state, context).conditions.find(({ type }) => type === 'Ready')?.status;
  }

  readonly #sourcesOf = (shardId: string): ShardSources => {
    const address = { namespace: 'monitoring', config: 'main', shardId, replica: 'a' } as const;
    const worker = this.#registry.view(address, 'uid-1');
    const nothing: WorkerSources = {
      worker: undefined,
      ping: 'none',
      listeningSince: 0,
      pod: undefined,
      instanceStatusAt: undefined,
      instanceReadAt: undefined,
    };
    return { ...nothing, worker, other: nothing };
  };

  #take(body: CommandBody): void {
    const figures = shardFigures(this.state, this.#sourcesOf, this.now);
    const decision = decide(this.state, { ...body, now: this.now, ...figures });
    if (decision.kind === 'rejected') return;
    const sequence = this.state.sequence + 1;
    for (const event of decision.events) {
      this.state = evolve(this.state, event, sequence);
      this.events.push({ at: this.now, event });
    }
  }
}

const OWNED = [22, 21, 21];
const counts = (start: Start): number[] => [S0, S1, S2].map((shardId) => start.owned(shardId));

describe('a load that gets on', () => {
  it.each([
    ['12 s', 12_000],
    ['15 s', 15_000],
    ['60 s', 60_000],
    ['5 min', 300_000],
  ])('of %s keeps its slots, although the others are done and have room', (_, longest) => {
    for (const growsByFeed of [true, false]) {
      const start = new Start([longest / 2, longest / 2, longest]);
      for (const worker of start.workers.values()) worker.growsByFeed = growsByFeed;
      start.run(longest / 2);
      expect([start.ready(), counts(start)]).toEqual(['False', OWNED]);
      start.run(longest / 2 + 10_000);
      expect([start.ready(), start.moved()]).toEqual(['True', 0]);
      for (const shardId of [S0, S1, S2]) expect(start.health(shardId)).toEqual(['Pending -> Healthy']);
    }
  });

  it('keeps its slots when its worker is restarted in the middle', () => {
    const start = new Start([5_000, 5_000, 20_000]).run(14_000);
    start.worker(S2).restart(start.now);
    start.run(40_000);
    expect([start.ready(), start.moved()]).toEqual(['True', 0]);
  });

  it('keeps its slots when it is that of a worker of the version before', () => {
    const start = new Start([8_000, 8_000, 30_000]);
    start.worker(S2).isOlder = true;
    start.run(60_000);
    expect([start.ready(), start.moved()]).toEqual(['True', 0]);
  });
});

describe('a load that stops', () => {
  const stopped = (settings: Partial<Settings> = {}, others = 3_000): Start => {
    const start = new Start([others, others, 40_000], settings);
    start.worker(S2).stoppedAt = start.now + 8_000;
    return start.run(8_000);
  };

  it('loses its slots after 10 s to shards that have room', () => {
    const start = stopped().run(9_000);
    expect(counts(start)).toEqual(OWNED);
    start.run(2_000);
    expect(counts(start)).toEqual([32, 32, 0]);
    expect(start.health(S2)).toEqual(['Pending -> Healthy', 'Healthy -> Pending']);
  });

  it('loses them after a minute when nobody has room', () => {
    const start = stopped({ capacity: { objects: 2_200 } }).run(58_000);
    expect(counts(start)).toEqual(OWNED);
    start.run(3_000);
    expect(counts(start)).toEqual([32, 32, 0]);
  });

  it('loses them to a shard that shows all of its own, not to one that is still loading', () => {
    const start = new Start([3_000, 60_000, 40_000], { capacity: { objects: 1_000_000 } });
    start.worker(S2).stoppedAt = start.now + 8_000;
    start.run(20_000);
    expect(counts(start)).toEqual([43, 21, 0]);
  });

  it('gets nothing new before it gets on again, and then its share', () => {
    const start = stopped().run(100_000);
    expect([start.moved(), start.health(S2).length]).toEqual([OWNED[2], 2]);
    start.worker(S2).stoppedAt = Infinity;
    start.run(5_000);
    expect(start.health(S2).at(-1)).toBe('Pending -> Healthy');
    expect(start.moved()).toBe(2 * (OWNED[2] ?? 0));
  });
});
