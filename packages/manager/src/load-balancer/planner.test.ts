import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Move, planBalance, type PlanInput, planFailover } from './planner.ts';
import { consistentHash, leastLoaded, roundRobin, runsOf } from './strategies/index.ts';

const strategies = [consistentHash, roundRobin, leastLoaded];

const shard = (n: number): string => `shard-${String(n).padStart(3, '0')}`;

/** Any owners over up to 6 shards, of which any are targets; the slots of the others, and those of nobody, are orphans. */
const input: fc.Arbitrary<PlanInput> = fc
  .record({
    owners: fc.array(fc.option(fc.integer({ min: 0, max: 5 }).map(shard), { freq: 8 }), {
      minLength: 1,
      maxLength: 80,
    }),
    targets: fc.uniqueArray(fc.integer({ min: 0, max: 7 }), { minLength: 1, maxLength: 8 }),
    objects: fc.array(fc.option(fc.nat(10_000), { nil: undefined }), { minLength: 8, maxLength: 8 }),
  })
  .map(({ owners, targets, objects }) => {
    const ids = new Set(targets.map(shard));
    return {
      owners,
      targets: targets.map((n) => ({ shardId: shard(n), objects: objects[n] })),
      orphans: new Set(owners.flatMap((owner, slot) => (owner === null || !ids.has(owner) ? [slot] : []))),
      pinned: new Set<number>(),
    };
  });

function apply({ owners }: PlanInput, moves: readonly Move[]): (string | null)[] {
  const next = [...owners];
  for (const { slot, to } of moves) next[slot] = to;
  return next;
}

const countsOf = ({ targets }: PlanInput, owners: readonly (string | null)[]): number[] =>
  targets.map(({ shardId }) => owners.filter((owner) => owner === shardId).length);

/**
 * The fewest moves to a balance within one, by trying every way to hand out the larger quotas: a slot stays only if it
 * is within its owner's quota.
 */
function fewestMoves(plan: PlanInput): number {
  const counts = countsOf(plan, plan.owners);
  const total = plan.owners.length;
  const each = Math.floor(total / counts.length);
  const larger = total % counts.length;
  let most = 0;
  for (let choice = 0; choice < 1 << counts.length; choice++) {
    const chosen = counts.map((_, i) => (choice >> i) & 1);
    if (chosen.reduce((a, b) => a + b, 0) !== larger) continue;
    const stay = counts.reduce((sum, count, i) => sum + Math.min(count, each + (chosen[i] ?? 0)), 0);
    most = Math.max(most, stay);
  }
  return total - most;
}

describe.each(strategies)('planBalance with $name', (strategy) => {
  it('moves the minimum, ends within one slot and leaves no orphan', () => {
    fc.assert(
      fc.property(input, (plan) => {
        const moves = planBalance(plan, strategy);
        const owners = apply(plan, moves);
        const counts = countsOf(plan, owners);
        expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(1);
        expect(counts.reduce((a, b) => a + b, 0)).toBe(plan.owners.length);
        expect(moves).toHaveLength(fewestMoves(plan));
        expect(new Set(moves.map((move) => move.slot)).size).toBe(moves.length);
        expect(moves.every(({ slot, from, to }) => from === plan.owners[slot] && from !== to)).toBe(true);
      }),
    );
  });

  it('gives the same plan for the same input, whatever the order of the targets', () => {
    fc.assert(
      fc.property(input, (plan) => {
        const reversed = { ...plan, targets: [...plan.targets].reverse() };
        expect(planBalance(reversed, strategy)).toEqual(planBalance(plan, strategy));
      }),
    );
  });

  it('moves no pinned slot', () => {
    fc.assert(
      fc.property(input, fc.array(fc.nat(79)), (plan, slots) => {
        const pinned = new Set(slots.filter((slot) => !plan.orphans.has(slot)));
        const moves = planBalance({ ...plan, pinned }, strategy);
        expect(moves.filter((move) => pinned.has(move.slot))).toEqual([]);
        expect([...plan.orphans].every((slot) => moves.some((move) => move.slot === slot))).toBe(true);
      }),
    );
  });
});

describe.each(strategies)('planFailover with $name', (strategy) => {
  it('moves the orphans and nothing else, to the shards with the fewest slots', () => {
    fc.assert(
      fc.property(input, (plan) => {
        const moves = planFailover(plan, strategy);
        expect(new Set(moves.map((move) => move.slot))).toEqual(plan.orphans);
        const before = countsOf(plan, plan.owners);
        const after = countsOf(plan, apply(plan, moves));
        const raised = after.filter((count, i) => count > (before[i] ?? 0));
        expect(Math.max(0, ...raised)).toBeLessThanOrEqual(Math.min(...after) + 1);
      }),
    );
  });
});

describe('consistent-hash', () => {
  const fresh = (shards: number, owners: readonly (string | null)[]): PlanInput => ({
    owners,
    targets: Array.from({ length: shards }, (_, n) => ({ shardId: shard(n), objects: undefined })),
    orphans: new Set(owners.flatMap((owner, slot) => (owner === null ? [slot] : []))),
    pinned: new Set(),
  });

  it('begins with one contiguous range for each shard', () => {
    const owners = apply(
      fresh(5, []),
      planBalance(
        fresh(
          5,
          Array.from({ length: 256 }, () => null),
        ),
        consistentHash,
      ),
    );
    for (let n = 0; n < 5; n++) {
      expect(runsOf(owners.flatMap((owner, slot) => (owner === shard(n) ? [slot] : [])))).toHaveLength(1);
    }
  });

  it('keeps ranges few over many resizes', () => {
    let owners: readonly (string | null)[] = Array.from({ length: 256 }, () => null);
    for (const shards of [2, 3, 4, 6, 8, 7, 5, 3, 2, 4, 8, 10, 4]) {
      const plan = fresh(shards, owners);
      const gone = owners.flatMap((owner, slot) => (owner !== null && owner >= shard(shards) ? [slot] : []));
      const orphans = new Set([...plan.orphans, ...gone]);
      owners = apply(plan, planBalance({ ...plan, orphans }, consistentHash));
    }
    const longest = Math.max(
      ...[0, 1, 2, 3].map((n) => runsOf(owners.flatMap((o, slot) => (o === shard(n) ? [slot] : []))).length),
    );
    expect(longest).toBeLessThanOrEqual(12);
  });
});

describe('round-robin', () => {
  it('deals slots in turn', () => {
    const targets = [0, 1, 2].map((n) => ({ shardId: shard(n), objects: undefined }));
    const owners = Array.from({ length: 7 }, () => null);
    const moves = planBalance({ owners, targets, orphans: new Set(owners.keys()), pinned: new Set() }, roundRobin);
    expect(moves.map((move) => Number(move.to.slice(-1)))).toEqual([0, 1, 2, 0, 1, 2, 0]);
  });
});

describe('least-loaded', () => {
  it('gives the odd slot to the shard that reports the fewest objects', () => {
    const targets = [900, 100, 500].map((objects, n) => ({ shardId: shard(n), objects }));
    const owners = [shard(0), shard(1), shard(2), null];
    const moves = planFailover({ owners, targets, orphans: new Set([3]), pinned: new Set() }, leastLoaded);
    expect(moves).toEqual([{ slot: 3, from: null, to: shard(1) }]);
  });
});
