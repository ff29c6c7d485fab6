import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createLogger } from '../../observability/index.ts';
import { type Clock, systemClock } from '../../runtime/index.ts';
import { elapse, PATIENCE_MS, waitUntil } from '../../testing/index.ts';
import { KubernetesClient, staticEndpoint } from '../client/index.ts';
import { FakeApiServer, sendStatus } from '../testing/fake-api-server.ts';
import type { StoredObject } from '../testing/object-store.ts';
import { LeaseElector, type LeaseElectorOptions, LeaseTimingError } from './lease-elector.ts';

const LEASES = '/apis/coordination.k8s.io/v1/namespaces/x/leases';
/** Long enough for a busy machine: who does not get to run for seconds loses its Lease, and that is right. */
const TIMES = { leaseDurationMs: 5_000, renewDeadlineMs: 3_000, retryPeriodMs: 100 };
const SHORT_TIMES = { leaseDurationMs: 1_000, renewDeadlineMs: 600, retryPeriodMs: 100 };

interface Candidate {
  readonly elector: LeaseElector;
  readonly terms: number[];
  readonly ended: string[];
  readonly client: KubernetesClient;
  /** Graceful. */
  stop(): Promise<void>;
  /** As if killed: nothing is released. */
  crash(): Promise<void>;
}

let server: FakeApiServer;
let candidates: Candidate[];
let log: string[];

function candidate(name: string, options: Partial<LeaseElectorOptions> = {}): Candidate {
  const logger = createLogger({ name, level: 'info', destination: { write: (line) => void log.push(line) } });
  const client = new KubernetesClient({
    endpoint: staticEndpoint({ server: server.url, ca: server.serving.certificate }),
    logger,
    userAgent: name,
  });
  const terms: number[] = [];
  const ended: string[] = [];
  const elector = new LeaseElector({
    client,
    namespace: 'x',
    name: 'manager',
    identity: name,
    logger,
    onStarted: async (signal, term) => {
      terms.push(term);
      await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()));
      ended.push('work');
    },
    onStopped: () => void ended.push('stopped'),
    ...TIMES,
    ...options,
  });
  const stop = new AbortController();
  const running = elector.run(stop.signal);
  const made: Candidate = {
    elector,
    terms,
    ended,
    client,
    stop: async () => {
      stop.abort();
      await running;
      await client.close();
    },
    crash: async () => {
      await client.close();
      stop.abort();
      await running;
    },
  };
  candidates.push(made);
  return made;
}

function lease(): StoredObject {
  const found = server.store(LEASES).get('manager');
  if (found === undefined) throw new Error('there is no Lease');
  return found;
}

beforeEach(async () => {
  server = await FakeApiServer.start();
  candidates = [];
  log = [];
});

afterEach(async () => {
  await Promise.all(candidates.map((one) => one.stop()));
  await server.stop();
});

describe('LeaseElector', () => {
  it('creates the Lease, leads, and renews it', async () => {
    const a = candidate('a');
    await waitUntil('a leads', () => a.elector.leading);
    expect(a.terms).toEqual([0]);
    expect(lease()['spec']).toMatchObject({
      holderIdentity: a.elector.identity,
      leaseDurationSeconds: 5,
      leaseTransitions: 0,
      renewTime: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/),
    });
    const { resourceVersion } = lease().metadata;
    await waitUntil('it is renewed', () => Number(lease().metadata.resourceVersion) > Number(resourceVersion) + 1);
    expect(a.terms).toEqual([0]);
  });

  it('hands over at once when the leader stops, with the next term', async () => {
    const times = { ...TIMES, leaseDurationMs: 10 * PATIENCE_MS };
    const a = candidate('a', times);
    await waitUntil('a leads', () => a.elector.leading);
    const b = candidate('b', times);
    await a.stop();
    expect(a.ended).toEqual(['stopped', 'work']);
    await waitUntil('b leads', () => b.elector.leading);
    expect(b.terms).toEqual([1]);
  });

  it('lets another take over at once when there is evidence that the leader is gone', async () => {
    const times = { ...TIMES, leaseDurationMs: 10 * PATIENCE_MS };
    const a = candidate('a', times);
    await waitUntil('a leads', () => a.elector.leading);
    await a.crash();
    const asked: string[] = [];
    const b = candidate('b', {
      ...times,
      isGone: async (holder) => {
        asked.push(holder);
        return asked.length === 2;
      },
    });
    await waitUntil('b leads', () => b.elector.leading);
    expect(asked).toEqual([a.elector.identity, a.elector.identity]);
    expect(b.terms).toEqual([1]);
  });

  it('lets another take over only when a killed leader was silent for the whole duration', async () => {
    const a = candidate('a');
    await waitUntil('a leads', () => a.elector.leading);
    const b = candidate('b');
    await waitUntil('b has seen the leader', () => b.elector.holder === a.elector.identity);
    await a.crash();
    const { renewTime } = lease()['spec'] as { readonly renewTime: string };
    const renewedAt = Date.parse(renewTime);
    await waitUntil('b leads', () => b.elector.leading);
    expect(Date.now() - renewedAt).toBeGreaterThan(TIMES.leaseDurationMs - 10);
    expect(b.terms).toEqual([1]);
  });

  it('compares no clocks: a candidate whose clock is a year ahead waits like any other', async () => {
    const a = candidate('a');
    await waitUntil('a leads', () => a.elector.leading);
    const year = 365 * 24 * 3_600_000;
    const clock: Clock = { ...systemClock, now: () => Date.now() + year };
    const b = candidate('b', { clock });
    await elapse(1_500);
    expect([a.elector.leading, b.elector.leading]).toEqual([true, false]);
    await a.stop();
    await waitUntil('b leads', () => b.elector.leading);
    candidate('c');
    await elapse(1_500);
    expect(b.elector.leading).toBe(true);
  });

  it('steps down before its Lease ends when the API server does not answer, and comes back with a new term', async () => {
    const a = candidate('a', { leaseDurationMs: 60_000, renewDeadlineMs: 600 });
    await waitUntil('a leads', () => a.elector.leading);
    server.inject('object', () => {}, 3);
    const before = performance.now();
    await waitUntil('a stepped down', () => a.ended.includes('stopped'));
    expect(performance.now() - before).toBeLessThan(60_000);
    await waitUntil('a leads again', () => a.terms.length === 2);
    expect(a.terms[1]).toBeGreaterThan(a.terms[0] ?? 0);
  });

  it('keeps leading through errors shorter than the deadline', async () => {
    const a = candidate('a');
    await waitUntil('a leads', () => a.elector.leading);
    server.inject('object', (_, response) => sendStatus(response, 403, 'Forbidden', 'leases is forbidden'), 3);
    await waitUntil('the errors are over', () => log.some((line) => line.includes('can be read and written again')));
    expect(a.ended).toEqual([]);
    expect(log.filter((line) => line.includes('could not be read or written'))).toHaveLength(1);
  });

  it('says at once that it does not lead after a stall longer than the deadline', async () => {
    let skipped = 0;
    const clock: Clock = { ...systemClock, monotonic: () => performance.now() + skipped };
    const a = candidate('a', { clock });
    await waitUntil('a leads', () => a.elector.leading);
    skipped = TIMES.leaseDurationMs;
    expect(a.elector.leading).toBe(false);
    await waitUntil('a stepped down', () => a.ended.includes('stopped'));
  });

  it('steps down when somebody else holds the Lease', async () => {
    const a = candidate('a');
    await waitUntil('a leads', () => a.elector.leading);
    server
      .store(LEASES)
      .put('manager', { spec: { holderIdentity: 'thief', leaseDurationSeconds: 1, leaseTransitions: 7 } });
    await waitUntil('a stepped down', () => a.ended.includes('stopped'));
    await waitUntil('a leads again when the thief is silent', () => a.terms.length === 2);
    expect(a.terms).toEqual([0, 8]);
  });

  it("keeps leading when somebody edits the Lease's labels, and keeps them", async () => {
    const a = candidate('a');
    await waitUntil('a leads', () => a.elector.leading);
    server.store(LEASES).put('manager', { ...lease(), metadata: { labels: { team: 'x' } } });
    const { resourceVersion } = lease().metadata;
    await waitUntil('it is renewed', () => Number(lease().metadata.resourceVersion) > Number(resourceVersion) + 1);
    expect(lease().metadata['labels']).toEqual({ team: 'x' });
    expect(a.terms).toEqual([0]);
    expect(a.ended).toEqual([]);
  });

  it('creates the Lease again when somebody deletes it, in the same term', async () => {
    const a = candidate('a');
    await waitUntil('a leads', () => a.elector.leading);
    server.store(LEASES).delete('manager');
    await waitUntil('it is there again', () => server.store(LEASES).get('manager') !== undefined);
    await elapse(300);
    expect(a.terms).toEqual([0]);
    expect(a.elector.leading).toBe(true);
  });

  it('gives up when the work fails, and tries again later', async () => {
    let starts = 0;
    const a = candidate('a', {
      onStarted: () => {
        starts += 1;
        if (starts === 1) throw new Error('cannot lead today');
      },
    });
    await waitUntil('a leads for the second time', () => starts === 2 && a.elector.leading);
    expect(a.ended).toEqual(['stopped']);
    expect(log.some((line) => line.includes('cannot lead today'))).toBe(true);
  });

  it('never has two leaders, whatever the server does', async () => {
    const three = ['a', 'b', 'c'].map((name) => candidate(name, SHORT_TIMES));
    await waitUntil('somebody leads', () => three.some((one) => one.elector.leading));
    const terms = new Set<number>();
    let overlaps = 0;
    const end = performance.now() + 4_000;
    let seed = 1;
    while (performance.now() < end) {
      seed = (seed * 48_271) % 2_147_483_647;
      if (seed % 3 === 0) server.inject('object', (_, response) => response.socket?.destroy(), 2);
      if (seed % 41 === 0) server.inject('object', () => {}, 4);
      if (seed % 7 === 0) server.inject('object', (_, response) => sendStatus(response, 409, 'Conflict', 'changed'), 2);
      if (three.filter((one) => one.elector.leading).length > 1) overlaps += 1;
      await elapse(20);
    }
    for (const one of three) for (const term of one.terms) terms.add(term);
    expect(overlaps).toBe(0);
    expect(terms.size).toBe(three.flatMap((one) => one.terms).length);
    expect(terms.size).toBeGreaterThan(0);
  });

  it('is another candidate at each start of a process', () => {
    expect(candidate('a').elector.identity).not.toBe(candidate('a').elector.identity);
  });

  it('refuses times that cannot keep leaders apart', () => {
    expect(() => candidate('a', { leaseDurationMs: 1_000, renewDeadlineMs: 1_000 })).toThrow(LeaseTimingError);
    expect(() => candidate('a', { renewDeadlineMs: 600, retryPeriodMs: 600 })).toThrow(/leaseDuration > renewDeadline/);
  });
});
