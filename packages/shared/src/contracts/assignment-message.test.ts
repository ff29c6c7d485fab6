import fc from 'fast-check';
import { expect, test } from 'vitest';
import { rangesToSlots, slotsToRanges } from '../hashing/index.ts';
import { assignmentMessage, assignmentMessageSchema } from './assignment-message.ts';
import type { Assignment } from './assignment.ts';

const MAX_BYTES = 64 * 1024 - 1;
const size = (message: unknown): number => Buffer.byteLength(JSON.stringify(message));

function assignment(slotCount: number, roles: readonly (readonly number[])[]): Assignment {
  const [hash = [], warm = [], release = [], keep] = roles;
  const ranges = (slots: readonly number[]) => slotsToRanges(slots, slotCount);
  return {
    v: 'shard.assignment.v1',
    shardConfig: { namespace: 'n'.repeat(63), name: 'c'.repeat(40), uid: 'u'.repeat(64) },
    shardId: 'shard-000',
    generation: 1,
    epoch: 5,
    slotCount,
    shardBy: 'uid',
    hashRanges: ranges(hash),
    warmRanges: ranges(warm).map((range) => ({ ...range, migration: 'w'.repeat(63) })),
    releaseRanges: ranges(release).map((range) => ({ ...range, migration: `r${range.start % 200}` })),
    ...(keep === undefined ? {} : { keepRanges: ranges(keep) }),
  };
}

/** The same whatever the order of the ranges: what a worker would do. */
const meaning = ({ hashRanges, warmRanges, releaseRanges, slotCount, ...header }: Assignment) => ({
  ...header,
  hash: rangesToSlots(hashRanges, slotCount),
  warm: warmRanges.toSorted((a, b) => a.start - b.start),
  release: releaseRanges.toSorted((a, b) => a.start - b.start),
});

test('an assignment says the same on NATS, and fits into a message, however scattered its slots are', () => {
  const roles = fc.array(fc.nat(4), { minLength: 4096, maxLength: 4096, size: 'max' });
  const slots = Array.from({ length: 4096 }, (_, slot) => slot);
  fc.assert(
    fc.property(roles, (role) => {
      const given = assignment(
        4096,
        [0, 1, 2, 3].map((r) => slots.filter((slot) => role[slot] === r)),
      );
      const sent = assignmentMessage(given);
      expect(size(sent)).toBeLessThanOrEqual(MAX_BYTES);
      const read = assignmentMessageSchema.parse(JSON.parse(JSON.stringify(sent)));
      expect(meaning(read)).toEqual(meaning(given));
    }),
    { numRuns: 20 },
  );
}, 30_000);

test('2,048 ranges, which take 77 KB in number form, fit', () => {
  const odd = Array.from({ length: 2048 }, (_, i) => 2 * i + 1);
  const given = assignment(4096, [odd]);
  expect(size(given)).toBeGreaterThan(MAX_BYTES);
  expect(size(assignmentMessage(given))).toBeLessThan(12 * 1024);
  expect(assignmentMessageSchema.parse(assignmentMessage(given))).toEqual(given);
});

test('a few ranges are sent as they are, for workers of every version', () => {
  const given = assignment(256, [[1, 2, 9], [4], []]);
  expect(assignmentMessage(given)).toBe(given);
});

test('what is no assignment is refused', () => {
  const odd = Array.from({ length: 2048 }, (_, i) => 2 * i + 1);
  const broken = { ...assignmentMessage(assignment(4096, [odd])), hash: '5-3' };
  expect(assignmentMessageSchema.safeParse(broken).success).toBe(false);
  expect(assignmentMessageSchema.safeParse('garbage').success).toBe(false);
});
