import { expect, test } from 'vitest';
import { MembershipRing } from './membership-ring.ts';

function ringOf(count: number, capacity: number): MembershipRing {
  const ring = new MembershipRing('1', capacity);
  for (let i = 2; i <= count; i++)
    ring.push({ version: String(i), uid: `u${i}`, slot: 0, namespace: '', joined: true });
  return ring;
}

test('changes since a position come oldest first, across digits', () => {
  const versions = ringOf(12, 100)
    .since('8')
    ?.map(({ version }) => version);
  expect(versions).toEqual(['9', '10', '11', '12']);
  expect(ringOf(12, 100).since('12')).toEqual([]);
});

test('what has fallen out cannot be answered for, and memory stays bounded', () => {
  const ring = ringOf(1_000, 10);
  expect(ring.floor).toBe('990');
  expect(ring.since('989')).toBeUndefined();
  expect(ring.since('990')).toHaveLength(10);
});
