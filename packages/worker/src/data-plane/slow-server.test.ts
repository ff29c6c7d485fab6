import { Readable } from 'node:stream';
import type { Clock } from '@shard-controller/shared/runtime';
import { describe, expect, test } from 'vitest';
import { FeedTrouble } from '../feed/health/index.ts';
import { TimedUpstream } from '../upstream/index.ts';
import { type JudgedFeed, KindOutages } from './kind-outages.ts';

const KINDS = 30;
const TICK_MS = 500;
/** A reader gives up when no answer has begun by then. ms. */
const TIMEOUT_MS = 10_000;
/** Between two reads of a kind. ms. */
const PAUSE_MS = 5_000;

interface Kind extends JudgedFeed {
  readonly trouble: FeedTrouble;
  readonly upstream: TimedUpstream;
  /** Ends the read that is under way. */
  end: ((error: unknown) => void) | undefined;
  begunAt: number;
  endsAt: number;
}

/** Numbers in [0, 1), the same for a seed (mulberry32). */
function randomOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let z = Math.imul(state ^ (state >>> 15), 1 | state);
    z = (z + Math.imul(z ^ (z >>> 7), 61 | z)) ^ z;
    return ((z ^ (z >>> 14)) >>> 0) / 0x1_0000_0000;
  };
}

/** Kinds that are read again and again from a server that takes as long as it is told. */
class Simulation {
  now = 0;
  readonly kinds: readonly Kind[];
  /** Kinds that were left out at some time. */
  readonly suspects = new Set<Kind>();
  readonly #outages = new KindOutages<Kind>();
  /** Until an answer comes. ms. */
  latency: (kind: number) => number = () => 50;

  constructor() {
    this.kinds = Array.from({ length: KINDS }, () => this.#kind());
  }

  #kind(): Kind {
    const clock: Clock = { now: () => this.now, monotonic: () => this.now, sleep: () => Promise.resolve() };
    const upstream = new TimedUpstream(
      {
        stream: () =>
          new Promise((resolve, reject) => {
            kind.end = (error) => {
              if (error === undefined) resolve({ status: 200, headers: {}, body: Readable.from([]) });
              else reject(error);
            };
          }),
      },
      clock,
    );
    const kind: Kind = {
      isQuiet: false,
      connected: true,
      trouble: new FeedTrouble(),
      state: { filled: true, subscriptions: [{ attached: true, initialPending: false, slots: new Uint8Array(1) }] },
      outage: undefined,
      proofAt: () => this.now,
      upstream,
      get answers() {
        return upstream.answers;
      },
      end: undefined,
      begunAt: 0,
      endsAt: 0,
    };
    return kind;
  }

  async pass(ms: number): Promise<void> {
    for (const until = this.now + ms; this.now < until; ) {
      this.now += TICK_MS;
      for (const [i, kind] of this.kinds.entries()) await this.#read(kind, i);
      this.#outages.observe(this.kinds, this.now, this.now, this.now);
      for (const kind of this.kinds) if (kind.outage !== undefined) this.suspects.add(kind);
    }
  }

  get leftOut(): number {
    return this.kinds.filter(({ outage }) => outage !== undefined).length;
  }

  async #read(kind: Kind, i: number): Promise<void> {
    const { end, begunAt, trouble } = kind;
    if (end === undefined && this.now >= kind.endsAt) {
      kind.begunAt = this.now;
      kind.endsAt = this.now + Math.min(TIMEOUT_MS, this.latency(i));
      void kind.upstream.stream({ path: '/' }).catch(() => undefined);
    } else if (end !== undefined && this.now >= kind.endsAt) {
      const error = kind.endsAt - begunAt >= TIMEOUT_MS ? new Error('no answer') : undefined;
      end(error);
      kind.end = undefined;
      await Promise.resolve();
      await Promise.resolve();
      if (error === undefined) trouble.worked('load');
      else trouble.failed('load', error, this.now, begunAt);
      kind.endsAt = this.now + (error === undefined ? PAUSE_MS : 0);
    }
  }
}

describe('a server that is slow for all kinds', () => {
  test.each([11_000, 12_000, 14_000, 16_000, 20_000, 30_000, 60_000])(
    'answers within %i ms, each by chance, and leaves none out',
    async (latest) => {
      for (let seed = 1; seed <= 5; seed++) {
        const simulation = new Simulation();
        const random = randomOf(seed);
        await simulation.pass(60_000);
        simulation.latency = () => random() * latest;
        await simulation.pass(300_000);
        simulation.latency = () => 50;
        await simulation.pass(60_000);
        expect([seed, simulation.suspects.size]).toEqual([seed, 0]);
      }
    },
  );

  test('hides none that is silent alone, before and afterwards', async () => {
    const simulation = new Simulation();
    const random = randomOf(1);
    await simulation.pass(60_000);
    simulation.latency = (kind) => (kind === 0 ? Infinity : 50);
    await simulation.pass(30_000);
    expect(simulation.leftOut).toBe(1);
    simulation.latency = (kind) => (kind <= 1 ? Infinity : random() * 14_000);
    await simulation.pass(120_000);
    expect(simulation.leftOut).toBe(1);
    simulation.latency = (kind) => (kind <= 1 ? Infinity : 50);
    await simulation.pass(90_000);
    expect(simulation.leftOut).toBe(2);
  });
});
