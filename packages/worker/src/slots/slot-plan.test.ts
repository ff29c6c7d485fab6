import { describe, expect, test } from 'vitest';
import type { SlotAssignment } from './slot-assignment.ts';
import { isExposedRole, planSlots, SlotRole } from './slot-plan.ts';

function assignment(parts: Partial<SlotAssignment>): SlotAssignment {
  return { generation: 1, epoch: 1, slotCount: 64, shardBy: 'uid', owned: [], warm: [], release: [], ...parts };
}

const one = (slots: readonly number[]): SlotAssignment['warm'] => [{ migration: 'm', slots }];

describe('the role of a slot', () => {
  test('follows the newest assignment', () => {
    const roles = planSlots(undefined, assignment({ owned: [1], warm: one([2]), release: one([3]) }));
    expect(Array.from(roles.slice(0, 5))).toEqual([
      SlotRole.None,
      SlotRole.Owned,
      SlotRole.Warm,
      SlotRole.Release,
      SlotRole.None,
    ]);
    expect([0, 1, 2, 3].map((slot) => isExposedRole(roles[slot] ?? 0))).toEqual([false, true, true, false]);
  });

  test('that was warm and is no longer named ends: the migration was rolled back', () => {
    const before = planSlots(undefined, assignment({ warm: one([2]) }));
    expect(planSlots(before, assignment({}))[2]).toBe(SlotRole.None);
  });

  test('that was owned and is no longer named is kept, over any number of assignments, until it is released', () => {
    let roles = planSlots(undefined, assignment({ owned: [1] }));
    roles = planSlots(roles, assignment({}));
    roles = planSlots(roles, assignment({}));
    expect(roles[1]).toBe(SlotRole.Kept);
    expect(isExposedRole(SlotRole.Kept)).toBe(true);
    roles = planSlots(roles, assignment({ release: one([1]) }));
    expect(roles[1]).toBe(SlotRole.Release);
    expect(planSlots(roles, assignment({}))[1]).toBe(SlotRole.None);
  });

  test('that is to be kept is exposed, also by a process that did not own it before', () => {
    const roles = planSlots(undefined, assignment({ owned: [1], keep: [2] }));
    expect(roles[2]).toBe(SlotRole.Kept);
    expect(planSlots(roles, assignment({ owned: [1], release: one([2]) }))[2]).toBe(SlotRole.Release);
    expect(planSlots(roles, assignment({ owned: [1, 2] }))[2]).toBe(SlotRole.Owned);
  });

  test('that a standby has and that is no longer named is let go: it may have slept through the release', () => {
    const before = planSlots(undefined, assignment({ owned: [1, 2] }));
    const roles = planSlots(before, assignment({ owned: [2], standby: true }));
    expect([roles[1], roles[2]]).toEqual([SlotRole.None, SlotRole.Owned]);
  });

  test('cannot be told when the number of slots changes', () => {
    const before = planSlots(undefined, assignment({ owned: [1] }));
    expect(() => planSlots(before, assignment({ slotCount: 128 }))).toThrow('spec.slots is immutable');
  });
});
