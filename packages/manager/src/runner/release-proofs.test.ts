import type { Handover } from '@shard-controller/shared/contracts';
import type { Clock } from '@shard-controller/shared/runtime';
import { describe, expect, it } from 'vitest';
import { defaultSettings, evolve, initialState, type ShardEvent, shardIdOf } from '../aggregate/index.ts';
import type { ShardSources, WorkerSources } from '../observation/index.ts';
import { loadMarks } from '../observation/load-progress.ts';
import { FakeLink, heartbeatOf } from '../testing/index.ts';
import { ReleaseProofs, waitingReleases } from './release-proofs.ts';

const [source, target, third] = [shardIdOf(0), shardIdOf(1), shardIdOf(2)];
const planned = {
  type: 'shard.config.accepted.v1',
  at: 0,
  uid: 'uid-1',
  namespace: 'monitoring',
  name: 'main',
  specGeneration: 1,
  settings: defaultSettings,
  revision: 'r1',
} as const;
const begun: ShardEvent[] = [
  planned,
  { type: 'shard.scaled.v1', at: 0, from: 0, to: 3, trigger: 'initial', reason: 'first' },
  { type: 'shard.migration.planned.v1', at: 0, id: 'm1', cause: 'resize', source, target, slots: [3, 4], reason: 'r' },
  { type: 'shard.migration.started.v1', at: 0, id: 'm1', deadline: 1 },
];
const stateOf = (events: readonly ShardEvent[]) =>
  events.reduce((folded, event) => evolve(folded, event, folded.sequence + 1), initialState);
const warming = stateOf(begun);
const committed = stateOf([
  ...begun,
  { type: 'shard.migration.committed.v1', at: 0, id: 'm1', because: 'scraped', reason: 'r' },
]);

const nothing: WorkerSources = {
  worker: undefined,
  ping: 'none',
  listeningSince: 0,
  pod: undefined,
  instanceStatusAt: undefined,
  instanceReadAt: undefined,
};
const worker = (handover: Partial<Handover>, replica: 'a' | 'b' = 'a'): WorkerSources => {
  const handovers: Handover[] = [{ migration: 'm1', role: 'source', state: 'releasing', objects: 1, ...handover }];
  const heartbeat = heartbeatOf({ replica, handovers });
  const load = loadMarks(undefined, heartbeat, 1_000);
  const since = { unableSince: undefined, coldSince: undefined, runningSince: 1_000, shown: undefined };
  return { ...nothing, worker: { heartbeat, load, heardAt: 1_000, ...since } };
};
const seen =
  (active: WorkerSources, other = nothing) =>
  (shardId: string): ShardSources =>
    shardId === source ? { ...active, other } : { ...nothing, other: nothing };

const RELEASE = {
  migration: 'm1',
  slots: [3, 4],
  source: { shardId: source, replica: 'a' },
  target: { shardId: target, replica: 'a' },
};

describe('a release waits for its target', () => {
  it('when the source says that it has yet to release committed slots', () => {
    expect(waitingReleases(committed, seen(worker({})), 1_100)).toEqual([RELEASE]);
    // They may all have been deleted meanwhile: until it is told, it does not know that nobody needs it any more.
    expect(waitingReleases(committed, seen(worker({ objects: 0 })), 1_100)).toEqual([RELEASE]);
    expect(waitingReleases(committed, seen(worker({ state: 'released' })), 1_100)).toEqual([]);
    expect(waitingReleases(committed, seen(worker({ migration: 'm2' })), 1_100)).toEqual([]);
    expect(waitingReleases(warming, seen(worker({})), 1_100)).toEqual([]);
    expect(waitingReleases(committed, seen(worker({})), 60_000)).toEqual([]);
  });

  it('and so do both replicas of a shard', () => {
    const both = waitingReleases(committed, seen(worker({}), worker({}, 'b')), 1_100);
    expect(both).toEqual([RELEASE, { ...RELEASE, source: { shardId: source, replica: 'b' } }]);
  });

  it('which is whoever has the slots now; slots that nobody has are kept', () => {
    const owners = committed.owners.map((owner, slot) => (slot === 3 ? third : slot === 4 ? null : owner));
    expect(waitingReleases({ ...committed, owners }, seen(worker({})), 1_100)).toEqual([
      { ...RELEASE, slots: [3], target: { shardId: third, replica: 'a' } },
    ]);
  });

  it('also where the slots were lost, and are shown elsewhere now', () => {
    const shard = committed.shards[source];
    if (shard === undefined) throw new Error('no shard');
    const shards = { ...committed.shards, [source]: { ...shard, stale: { id: 'r9', slots: [3, 4], kept: [4] } } };
    expect(waitingReleases({ ...committed, shards }, seen(worker({ migration: 'r9' })), 1_100)).toEqual([
      { ...RELEASE, migration: 'r9', slots: [3] },
    ]);
  });
});

it('one proof runs for each, for as long as the source waits', async () => {
  const link = new FakeLink(() => ({ v: 'shard.verify.v2', migration: 'm1', settled: true, kinds: [], late: [] }));
  const sleeping: AbortSignal[] = [];
  const clock: Clock = {
    now: () => 0,
    monotonic: () => 0,
    sleep: (_ms: number, signal?: AbortSignal) => {
      if (signal !== undefined) sleeping.push(signal);
      return new Promise<void>((resolve) => signal?.addEventListener('abort', () => resolve()));
    },
  };
  const proofs = new ReleaseProofs({ link, clock });
  for (let i = 0; i < 3; i++) proofs.update(committed, seen(worker({})), 1_100);
  await expect.poll(() => sleeping.length).toBe(1);
  expect(link.asked).toHaveLength(1);
  proofs.update(committed, seen(worker({ state: 'released' })), 1_200);
  expect(sleeping[0]?.aborted).toBe(true);
});
