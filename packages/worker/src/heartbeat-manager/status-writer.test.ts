import { createLogger } from '@shard-controller/shared/observability';
import { ManualClock } from '@shard-controller/shared/testing';
import { describe, expect, it } from 'vitest';
import { identity, snapshotOver } from '../testing/fixtures.ts';
import { HeartbeatSource } from './heartbeat-source.ts';
import { NatsProof } from './nats-proof.ts';
import { StatusWriter } from './status-writer.ts';

/** A worker that sends a heartbeat every second, and what NATS answers to it. */
function worker() {
  const clock = new ManualClock();
  const start = clock.monotonic();
  const now = (): number => clock.monotonic() - start;
  const source = new HeartbeatSource(identity, () => snapshotOver(), clock);
  const written: number[] = [];
  const nats = { connected: true, answers: (): Promise<boolean> => Promise.resolve(true) };
  let refuses = false;
  const writer: StatusWriter = new StatusWriter({
    client: {
      patch: () => {
        if (refuses) return Promise.reject(new Error('too many requests'));
        written.push(now());
        return Promise.resolve();
      },
    },
    identity,
    heartbeat: source.peek,
    capacity: {
      objects: 1,
      expositionBytes: undefined,
      memoryBytes: undefined,
      scrapeDurationMs: undefined,
      queueDepth: undefined,
    },
    active: () => true,
    intervalMs: 10_000,
    alone: () => !proof.delivers,
    clock,
    logger: createLogger({ name: 'test', level: 'silent' }),
    onWrite: () => undefined,
  });
  const proof = new NatsProof({ clock, onChange: (delivers) => !delivers && writer.trigger() });
  const stop = new AbortController();
  const beat = async (): Promise<void> => {
    while (!stop.signal.aborted) {
      proof.beat(nats);
      await clock.sleep(1_000, stop.signal);
    }
  };
  const done = Promise.all([writer.run(stop.signal), beat()]);
  return {
    clock,
    written,
    nats,
    proof,
    refuse: (is: boolean) => {
      refuses = is;
    },
    end: async () => (stop.abort(), await done),
  };
}

describe('the status of a worker', () => {
  it('is written every ten seconds while NATS takes its heartbeats', async () => {
    const { clock, written, end } = worker();
    await clock.advance(35_000);
    expect(written.filter((at) => at > 5_000)).toHaveLength(3);
    await end();
  });

  it('is renewed at once and every two seconds when its connection to NATS is closed, for as long as that lasts', async () => {
    const { clock, written, nats, proof, end } = worker();
    await clock.advance(15_300);
    written.length = 0;
    nats.connected = false;
    proof.lost();
    await clock.advance(60_000);
    expect(written[0]).toBe(15_300);
    expect(written).toHaveLength(31);
    const waits = written.slice(1).map((at, i) => at - (written[i] ?? 0));
    expect(new Set(waits)).toEqual(new Set([2_000]));
    nats.connected = true;
    await clock.advance(2_500);
    written.length = 0;
    await clock.advance(20_000);
    expect(written).toHaveLength(2);
    await end();
  });

  it('is renewed two seconds after the last heartbeat that NATS took, when everything sent since is lost', async () => {
    const { clock, written, nats, end } = worker();
    await clock.advance(15_300);
    written.length = 0;
    // The heartbeat of 15.0 s was taken, that of 16.0 s is not.
    nats.answers = () => new Promise(() => undefined);
    await clock.advance(6_000);
    expect(written).toEqual([17_000, 19_000, 21_000]);
    await end();
  });

  it('is tried again soon when it is the only sign of life', async () => {
    const { clock, written, nats, proof, refuse, end } = worker();
    await clock.advance(15_300);
    written.length = 0;
    refuse(true);
    nats.connected = false;
    proof.lost();
    await clock.advance(1_000);
    refuse(false);
    await clock.advance(600);
    expect(written.length).toBeGreaterThan(0);
    await end();
  });
});
