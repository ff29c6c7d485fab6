import { expect, test } from 'vitest';
import type { SlotAssignment } from '../slots/slot-assignment.ts';
import { SlotTable } from './slot-table.ts';

const assignment = (over: Partial<SlotAssignment> = {}): SlotAssignment => ({
  generation: 1,
  epoch: 1,
  slotCount: 4,
  shardBy: 'uid',
  owned: [0, 1],
  warm: [],
  release: [],
  ...over,
});

test('shows nothing before the first assignment, and says when that is there', async () => {
  const table = new SlotTable();
  expect([table.exposure.showsSlot(0), table.roles, table.kept]).toEqual([false, undefined, 0]);
  const gone = new AbortController();
  const givenUp = table.assigned(gone.signal);
  gone.abort();
  await givenUp;
  const assigned = table.assigned(new AbortController().signal);
  expect(table.apply(assignment())).toBe(true);
  await assigned;
  expect([0, 1, 2].map((slot) => table.exposure.showsSlot(slot))).toEqual([true, true, false]);
});

test('tells whether an assignment changes what is shown', () => {
  const table = new SlotTable();
  table.apply(assignment());
  const { exposure } = table;
  expect([table.apply(assignment({ epoch: 2 })), table.exposure === exposure]).toEqual([false, true]);
  expect(table.apply(assignment({ epoch: 3, warm: [{ migration: 'm', slots: [3] }] }))).toBe(true);
});

test('counts the slots that were dropped without a release', () => {
  const table = new SlotTable();
  table.apply(assignment());
  table.apply(assignment({ epoch: 2, owned: [0] }));
  expect([table.kept, table.exposure.showsSlot(1)]).toEqual([1, true]);
  table.apply(assignment({ epoch: 3, owned: [0], release: [{ migration: 'm', slots: [1] }] }));
  expect([table.kept, table.exposure.showsSlot(1)]).toEqual([0, false]);
});
