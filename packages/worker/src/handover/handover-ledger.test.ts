import { expect, test } from 'vitest';
import type { SlotAssignment } from '../slots/slot-assignment.ts';
import { HandoverLedger, type SlotProgress } from './handover-ledger.ts';

const assignment: SlotAssignment = {
  generation: 1,
  epoch: 1,
  slotCount: 64,
  shardBy: 'uid',
  owned: [],
  warm: [{ migration: 'in', slots: [1, 2] }],
  release: [{ migration: 'out', slots: [3] }],
};

interface Parts extends Partial<Record<'acknowledged' | 'released' | 'mending', boolean>> {
  readonly problem?: string;
  readonly leftOut?: number;
}

function progress(parts: Parts): SlotProgress {
  return {
    acknowledged: (_, goesWithout) => (parts.acknowledged ?? false) || (parts.mending === true && goesWithout === true),
    leftOut: parts.leftOut ?? 0,
    released: () => parts.released ?? false,
    objects: (slots) => slots.length * 10,
    problem: () => parts.problem,
  };
}

test('a target warms, says what holds it up, and then keeps the moment of its acknowledgement', () => {
  const ledger = new HandoverLedger();
  expect(ledger.handovers(assignment, progress({ problem: 'no way' }), 5)[0]).toEqual({
    migration: 'in',
    role: 'target',
    state: 'warming',
    objects: 20,
    error: 'no way',
  });
  const acknowledged = { state: 'acknowledged', acknowledgedAt: 7 };
  expect(ledger.handovers(assignment, progress({ acknowledged: true }), 7)[0]).toMatchObject(acknowledged);
  expect(ledger.handovers(assignment, progress({ acknowledged: true }), 9)[0]).toMatchObject(acknowledged);
});

test('a target whose exporter lost what it had acknowledged warms again, and is acknowledged again', () => {
  const ledger = new HandoverLedger();
  ledger.handovers(assignment, progress({ acknowledged: true }), 7);
  expect(ledger.handovers(assignment, progress({}), 8)[0]?.state).toBe('warming');
  expect(ledger.handovers(assignment, progress({ acknowledged: true }), 9)[0]?.acknowledgedAt).toBe(9);
});

test('a source releases until nothing is shown any more', () => {
  const ledger = new HandoverLedger();
  expect(ledger.handovers(assignment, progress({}), 1)[1]).toMatchObject({ role: 'source', state: 'releasing' });
  expect(ledger.handovers(assignment, progress({ released: true }), 1)[1]?.state).toBe('released');
});

test('says how many kinds the slots go without, and stays acknowledged while these are mended', () => {
  const ledger = new HandoverLedger();
  const without = { state: 'acknowledged', acknowledgedAt: 7, without: 2 };
  expect(ledger.handovers(assignment, progress({ acknowledged: true, leftOut: 2 }), 7)[0]).toMatchObject(without);
  expect(ledger.handovers(assignment, progress({ mending: true, leftOut: 1 }), 9)[0]).toMatchObject(without);
  expect(ledger.handovers(assignment, progress({ released: true, leftOut: 1 }), 9)[1]).toMatchObject({ without: 1 });
});

test('waits for a kind that is mended before anything was acknowledged', () => {
  const ledger = new HandoverLedger();
  expect(ledger.handovers(assignment, progress({ mending: true, leftOut: 1 }), 1)[0]?.state).toBe('warming');
});
