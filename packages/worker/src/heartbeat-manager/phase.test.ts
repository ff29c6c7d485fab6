import { expect, it } from 'vitest';
import { type PhaseFacts, phaseOf } from './phase.ts';

const running: PhaseFacts = {
  terminated: false,
  draining: false,
  assigned: true,
  feeds: { synced: 3, total: 3 },
  slots: { assigned: 5, acknowledged: 5 },
  warm: true,
  exporterUnreachableMs: 0,
};

it.each<[string, Partial<PhaseFacts>, string]>([
  ['everything is there', {}, 'Running'],
  ['it has no slots and nothing to do', { slots: { assigned: 0, acknowledged: 0 } }, 'Running'],
  ['there is no assignment', { assigned: false }, 'Pending'],
  ['a feed is still being listed', { feeds: { synced: 2, total: 3 }, warm: false }, 'Warming'],
  ['no feed is open yet', { feeds: { synced: 0, total: 3 }, warm: false }, 'Warming'],
  ['a slot is not acknowledged', { slots: { assigned: 5, acknowledged: 4 } }, 'Warming'],
  ['the exporter is not warm', { warm: false }, 'Warming'],
  ['the exporter restarts', { exporterUnreachableMs: 5000, warm: false }, 'Warming'],
  ['the exporter stays away', { exporterUnreachableMs: 30_000, warm: false }, 'Failed'],
  ['it was told to end', { draining: true, exporterUnreachableMs: 60_000 }, 'Draining'],
  ['it has ended', { draining: true, terminated: true }, 'Terminated'],
])('when %s the phase follows', (_, over, phase) => {
  expect(phaseOf({ ...running, ...over })).toBe(phase);
});
