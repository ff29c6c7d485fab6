import type { Assignment } from '@shard-controller/shared/contracts';
import { slotsToRanges } from '@shard-controller/shared/hashing';
import { describe, expect, it } from 'vitest';
import { Fence } from './fence.ts';
import { slotAssignment } from './slot-assignment.ts';

const scope = { namespace: 'monitoring', config: 'main', uid: 'uid-1', shardId: 'shard-001' };

function assignment(over: Partial<Assignment> = {}): Assignment {
  return {
    v: 'shard.assignment.v1',
    shardConfig: { namespace: 'monitoring', name: 'main', uid: 'uid-1' },
    shardId: 'shard-001',
    generation: 1,
    epoch: 10,
    slotCount: 256,
    shardBy: 'uid',
    hashRanges: slotsToRanges([0, 1, 2], 256),
    warmRanges: [],
    releaseRanges: [],
    ...over,
  };
}

function fence(): Fence {
  return new Fence(scope);
}

describe('the fence', () => {
  it('accepts the first assignment and each newer one', () => {
    const f = fence();
    expect(f.offer(assignment()).kind).toBe('accepted');
    expect(f.offer(assignment({ epoch: 11 })).kind).toBe('accepted');
    expect(f.offer(assignment({ generation: 2, epoch: 1 })).kind).toBe('accepted');
    expect(f.current).toMatchObject({ generation: 2, epoch: 1 });
  });

  it('keeps the assignment in force when an older one comes, by epoch or by generation', () => {
    const f = fence();
    f.offer(assignment({ generation: 2, epoch: 10 }));
    expect(f.offer(assignment({ generation: 2, epoch: 9, hashRanges: [] }))).toMatchObject({
      kind: 'older',
      reason: 'epoch 2/10 is in force',
    });
    expect(f.offer(assignment({ generation: 1, epoch: 99, hashRanges: [] })).kind).toBe('older');
    expect(f.current).toMatchObject({ generation: 2, epoch: 10 });
    expect(f.current?.hashRanges).toHaveLength(1);
    expect(f.refusal).toBeUndefined();
  });

  it('tells a repetition from other content under the same epoch', () => {
    const f = fence();
    f.offer(assignment());
    expect(f.offer(structuredClone(assignment())).kind).toBe('current');
    expect(f.offer(assignment({ hashRanges: [] }))).toMatchObject({ kind: 'older' });
    expect(f.current?.hashRanges).toHaveLength(1);
  });

  it.each([
    ['another shard', { shardId: 'shard-002' }, /it is for shard-002, this worker is shard-001/],
    [
      'a re-created ShardConfig',
      { shardConfig: { namespace: 'monitoring', name: 'main', uid: 'uid-2' } },
      /uid uid-2.*re-created/,
    ],
    ['another ShardConfig', { shardConfig: { namespace: 'x', name: 'main', uid: 'uid-1' } }, /ShardConfig x\/main/],
    [
      'overlapping lists',
      { warmRanges: [{ start: 0, end: 16777215, migration: 'm' }] },
      /slot 0 is in hashRanges and in warmRanges/,
    ],
    ['ranges off the borders', { hashRanges: [{ start: 1, end: 16777215 }] }, /borders/],
    ['another numbering of slots', { slotCount: 512 }, /512 slots by uid, the one in force 256 by uid/],
    ['another hash key', { shardBy: 'namespace' as const }, /by namespace/],
  ])('refuses %s, says why, and keeps the one in force', (_, over, reason) => {
    const f = fence();
    f.offer(assignment());
    const verdict = f.offer(assignment({ epoch: 11, ...over }));
    expect(verdict).toMatchObject({ kind: 'refused', generation: 1, epoch: 11, reason: expect.stringMatching(reason) });
    expect(f.current?.epoch).toBe(10);
    expect(f.refusal).toMatchObject({ epoch: 11 });
  });

  it('refuses a field that it does not know', () => {
    const f = fence();
    const verdict = f.offer({ ...assignment(), pauseRanges: [] });
    expect(verdict).toMatchObject({ kind: 'refused', reason: expect.stringContaining('pauseRanges') });
    expect(f.current).toBeUndefined();
  });

  it('forgets a refusal with the next accepted assignment', () => {
    const f = fence();
    f.offer(assignment({ epoch: 12, shardId: 'shard-009' }));
    expect(f.refusal?.epoch).toBe(12);
    f.offer(assignment({ epoch: 13 }));
    expect(f.refusal).toBeUndefined();
  });

  it('takes no other numbering of slots, also while this shard has none', () => {
    const f = fence();
    f.offer(assignment({ hashRanges: [] }));
    expect(f.offer(assignment({ epoch: 11, slotCount: 512, hashRanges: [] })).kind).toBe('refused');
  });

  it.each([null, 7, 'text', [], {}, { generation: 'x', epoch: 1 }, { generation: -1, epoch: 0 }])(
    'calls %j invalid and reports no refusal for it',
    (raw) => {
      const f = fence();
      expect(f.offer(raw).kind).toBe('invalid');
      expect(f.refusal).toBeUndefined();
    },
  );

  it('does not report a broken assignment that is older than the one in force', () => {
    const f = fence();
    f.offer(assignment());
    expect(f.offer({ ...assignment({ epoch: 3 }), extra: 1 }).kind).toBe('older');
    expect(f.refusal).toBeUndefined();
  });
});

describe('an accepted assignment as slots', () => {
  it('turns ranges into slots and gathers migrations by id', () => {
    const ranges = slotsToRanges([10, 20, 21], 256).map((range) => ({ ...range, migration: 'm1' }));
    const [other] = slotsToRanges([30], 256);
    const slots = slotAssignment(
      assignment({
        warmRanges: ranges,
        releaseRanges: [{ ...other, start: other?.start ?? 0, end: other?.end ?? 0, migration: 'm2' }],
      }),
      'a',
    );
    expect(slots.owned).toEqual([0, 1, 2]);
    expect(slots.warm).toEqual([{ migration: 'm1', slots: [10, 20, 21] }]);
    expect(slots.release).toEqual([{ migration: 'm2', slots: [30] }]);
  });

  it('makes a standby of every replica but the active one, which is a where nothing is said', () => {
    const standbys = (over: Partial<Assignment>) =>
      (['a', 'b'] as const).map((replica) => slotAssignment(assignment(over), replica).standby);
    expect(standbys({})).toEqual([false, true]);
    expect(standbys({ activeReplica: 'a' })).toEqual([false, true]);
    expect(standbys({ activeReplica: 'b' })).toEqual([true, false]);
  });
});
