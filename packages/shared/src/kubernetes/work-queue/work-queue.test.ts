import fc from 'fast-check';
import { ManualClock, settle } from '../../testing/index.ts';
import { beforeEach, describe, expect, it } from 'vitest';
import { createLogger } from '../../observability/index.ts';
import { WorkQueue, type WorkQueueOptions } from './work-queue.ts';

const logger = createLogger({ name: 'test', level: 'silent' });

let clock: ManualClock;
let started: string[];
let gates: Map<string, PromiseWithResolvers<void>>;

function queue(options: Partial<WorkQueueOptions> = {}): WorkQueue {
  return new WorkQueue({
    process: async (key) => void started.push(key),
    concurrency: 2,
    logger,
    clock,
    random: () => 1,
    backoff: { baseMs: 100, capMs: 1_000 },
    ...options,
  });
}

/** Work that ends only when the test opens its gate. */
async function gated(key: string): Promise<void> {
  started.push(key);
  const gate = Promise.withResolvers<void>();
  gates.set(key, gate);
  await gate.promise;
}

async function during(work: WorkQueue, body: () => Promise<void>): Promise<void> {
  const stop = new AbortController();
  const running = work.run(stop.signal);
  try {
    await body();
  } finally {
    stop.abort();
    for (const gate of gates.values()) gate.resolve();
    await running;
  }
}

beforeEach(() => {
  clock = new ManualClock();
  started = [];
  gates = new Map();
});

describe('WorkQueue', () => {
  it('processes a key once however often it was added before its turn', async () => {
    const work = queue();
    for (const key of ['a', 'b', 'a', 'a']) work.add(key);
    await during(work, settle);
    expect(started).toEqual(['a', 'b']);
    expect(work.size).toBe(0);
  });

  it('processes a key again when it was added while being processed, and never twice at a time', async () => {
    const work = queue({ process: gated });
    await during(work, async () => {
      work.add('a');
      await settle();
      work.add('a');
      work.add('a');
      await settle();
      expect(started).toEqual(['a']);
      gates.get('a')?.resolve();
      await settle();
      expect(started).toEqual(['a', 'a']);
    });
    expect(started).toEqual(['a', 'a']);
  });

  it('processes no more keys at a time than its concurrency', async () => {
    const work = queue({ process: gated, concurrency: 2 });
    await during(work, async () => {
      for (const key of ['a', 'b', 'c']) work.add(key);
      await settle();
      expect(started).toEqual(['a', 'b']);
      expect(work.depth).toBe(1);
      gates.get('b')?.resolve();
      await settle();
      expect(started).toEqual(['a', 'b', 'c']);
    });
  });

  it('tries a failed key again with growing, capped waits, and forgets them after a success', async () => {
    let failing = true;
    const times: number[] = [];
    const work = queue({
      process: async () => {
        times.push(clock.monotonic());
        if (failing) throw new Error('not yet');
      },
    });
    await during(work, async () => {
      work.add('a');
      await clock.advance(4_000);
      const waits = times.slice(1).map((time, index) => time - (times[index] ?? 0));
      expect(waits).toEqual([100, 200, 400, 800, 1_000, 1_000]);
      failing = false;
      await clock.advance(1_000);
      failing = true;
      times.length = 0;
      work.add('a');
      await clock.advance(150);
      expect(times).toHaveLength(2);
    });
  });

  it('spreads retries over the whole wait', async () => {
    const times: number[] = [];
    const work = queue({
      random: () => 0.25,
      process: async () => {
        times.push(clock.monotonic());
        throw new Error('no');
      },
    });
    await during(work, async () => {
      work.add('a');
      await clock.advance(30);
      expect(times.map((time) => time - (times[0] ?? 0))).toEqual([0, 25]);
    });
  });

  it('counts a throw before the first await as a failure of the key', async () => {
    const work = queue({
      process: (key) => {
        started.push(key);
        throw new Error('at once');
      },
    });
    await during(work, async () => {
      work.add('a');
      await clock.advance(150);
    });
    expect(started).toEqual(['a', 'a']);
  });

  it('does not make a key wait for its retry when something new happens', async () => {
    const work = queue({
      process: async (key) => {
        started.push(key);
        if (started.length === 1) throw new Error('first');
      },
    });
    await during(work, async () => {
      work.add('a');
      await settle();
      work.add('a');
      await clock.advance(0);
      expect(started).toEqual(['a', 'a']);
      await clock.advance(5_000);
      expect(started).toEqual(['a', 'a']);
    });
  });

  it('addAfter waits, and the earliest wish counts', async () => {
    const work = queue();
    await during(work, async () => {
      work.addAfter('a', 500);
      work.addAfter('a', 200);
      work.addAfter('a', 900);
      await clock.advance(199);
      expect(started).toEqual([]);
      await clock.advance(1);
      expect(started).toEqual(['a']);
      await clock.advance(2_000);
      expect(started).toEqual(['a']);
    });
  });

  it('stops: signals work under way, waits for it, starts no other', async () => {
    const aborted: string[] = [];
    const work = queue({
      concurrency: 1,
      process: async (key, signal) => {
        started.push(key);
        await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()));
        aborted.push(key);
      },
    });
    const stop = new AbortController();
    const running = work.run(stop.signal);
    work.add('a');
    work.add('b');
    await settle();
    stop.abort();
    await running;
    expect({ started, aborted }).toEqual({ started: ['a'], aborted: ['a'] });
    expect(work.depth).toBe(1);
  });

  it('refuses a concurrency that would never process anything', () => {
    expect(() => queue({ concurrency: 0 })).toThrow(/whole number of at least 1/);
  });

  it('never loses the last change, never runs a key twice at a time, never exceeds its places', async () => {
    const keys = fc.constantFrom('a', 'b', 'c');
    const action = fc.oneof(
      fc.record({ do: fc.constant('add' as const), key: keys }),
      fc.record({ do: fc.constant('after' as const), key: keys, ms: fc.integer({ min: 1, max: 300 }) }),
      fc.record({ do: fc.constant('advance' as const), ms: fc.integer({ min: 0, max: 200 }) }),
    );
    const property = fc.asyncProperty(
      fc.array(action, { maxLength: 25 }),
      fc.array(fc.boolean()),
      async (plan, fails) => {
        const time = new ManualClock();
        const version = new Map<string, number>();
        const processed = new Map<string, number>();
        const active = new Set<string>();
        let calls = 0;
        const work = new WorkQueue({
          logger,
          clock: time,
          concurrency: 2,
          random: () => 1,
          backoff: { baseMs: 10, capMs: 50 },
          process: async (key) => {
            expect(active.has(key)).toBe(false);
            active.add(key);
            expect(active.size).toBeLessThanOrEqual(2);
            const seen = version.get(key) ?? 0;
            const fail = fails[calls] === true;
            calls += 1;
            await time.sleep(20);
            active.delete(key);
            if (fail) throw new Error('planned');
            processed.set(key, seen);
          },
        });
        await during(work, async () => {
          for (const one of plan) {
            if (one.do === 'advance') await time.advance(one.ms);
            else version.set(one.key, (version.get(one.key) ?? 0) + 1);
            if (one.do === 'add') work.add(one.key);
            if (one.do === 'after') work.addAfter(one.key, one.ms);
          }
          await time.advance(60_000);
        });
        expect(processed).toEqual(version);
        expect(work.size).toBe(0);
      },
    );
    await fc.assert(property, { numRuns: 100 });
  });
});
