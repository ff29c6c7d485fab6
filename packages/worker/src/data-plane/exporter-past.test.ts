import { ManualClock } from '@shard-controller/shared/testing';
import { expect, test } from 'vitest';
import { ExporterPast } from './exporter-past.ts';

test('an exporter that continues is whole until it starts from nothing', () => {
  const clock = new ManualClock();
  const past = new ExporterPast(clock);
  past.noteResume();
  clock.freeze(500);
  past.noteResume();
  expect([past.resumedAt, past.initialSyncComplete]).toEqual([1_000, true]);
  past.noteStart('pods', false);
  expect([past.resumedAt, past.initialSyncComplete]).toEqual([undefined, false]);
  past.noteSynced();
  expect(past.initialSyncComplete).toBe(true);
});

test('one whose last process was not whole is not', () => {
  const past = new ExporterPast(new ManualClock());
  past.distrust();
  past.noteResume();
  expect(past.initialSyncComplete).toBe(false);
});

test('asking again for a kind that cannot be read is no start', () => {
  const clock = new ManualClock();
  const past = new ExporterPast(clock);
  past.presume([{ kind: 'secrets', cause: 'forbidden', message: 'no', since: clock.now() - 300 }]);
  past.noteStart('secrets', false);
  past.noteStart('pods', true);
  expect(past.initialSyncComplete).toBe(true);
  past.noteMended('secrets');
  past.noteStart('secrets', false);
  expect(past.initialSyncComplete).toBe(false);
});

test('an outage lasts since the process before this one has seen it', () => {
  const clock = new ManualClock();
  const past = new ExporterPast(clock);
  const since = clock.now() - 300;
  past.presume([{ kind: 'secrets', cause: 'forbidden', message: 'no', since, mending: true }]);
  expect(past.outageOf('secrets')).toEqual({
    since: 700,
    at: since,
    cause: 'forbidden',
    problem: 'no',
    isMending: true,
  });
  expect(past.outageOf('pods')).toBeUndefined();
});
