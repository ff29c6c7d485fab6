import { describe, expect, test } from 'vitest';
import {
  type CrdTimes,
  type ExporterLife,
  exporterLife,
  type ExporterState,
  type ExporterTimes,
  isRestarting,
  notificationDelay,
  RESUME_MS,
  SETTLE_MS,
  type StartOutlook,
  startOutlook,
  type WatchTimes,
} from './exporter-lifecycle.ts';

const NEVER = -Infinity;

const crdsOf = (over: Partial<CrdTimes> = {}): CrdTimes => ({
  createdAt: 0,
  startedAt: 40,
  notifiedAt: NEVER,
  leftAt: NEVER,
  isResumed: false,
  isListed: true,
  watch: 'notified',
  ...over,
});

const timesOf = (over: Partial<ExporterTimes> = {}): ExporterTimes => ({
  crds: undefined,
  watched: [],
  openedAt: [0],
  resumedAt: undefined,
  initialSyncComplete: true,
  ...over,
});

/** With CRDs that it was notified of. */
const lifeOf = (crds: Partial<CrdTimes>, watched: readonly WatchTimes[], now: number): ExporterLife =>
  exporterLife(timesOf({ crds: crdsOf(crds), watched }), now);

/** Starts of a feed, the newest last. */
function starts(...at: readonly number[]): WatchTimes {
  return { startedAt: at.at(-1) ?? NEVER, startedBeforeAt: at.at(-2) ?? NEVER, isTroubled: false };
}

test.each<readonly [string, number | undefined, number, ReturnType<typeof starts>[], boolean]>([
  ['an exporter that was notified of nothing does not restart', undefined, 2_000, [starts(100)], false],
  ['its first start is not the one that follows the first list', 50, 2_900, [starts(100), starts(120)], true],
  ['nor when that list came before the watches', 110, 2_900, [starts(100), starts(120)], true],
  ['its second start is, once it is settled', 50, 4_200, [starts(100, 3_050), starts(120, 3_060)], false],
  ['not before that', 50, 3_900, [starts(100, 3_050), starts(120, 3_060)], true],
  ['not while a watch is still the old one', 50, 4_200, [starts(100, 3_050), starts(120)], true],
  ['a kind that is found then is started once', 50, 4_200, [starts(100, 3_050), starts(3_070)], false],
  ['an exporter of custom resources alone starts late and once', 50, 4_200, [starts(3_050), starts(3_060)], false],
  ['an exporter that was restarted starts twice again', 50, 2_000, [starts(-9_000, 100), starts(-9_000, 120)], true],
  ['later news is followed by one start', 60_000, 60_500, [starts(100, 3_050), starts(120, 3_060)], true],
  ['which ends the wait', 60_000, 64_000, [starts(3_050, 62_000), starts(3_060, 62_010)], false],
  ['one that never comes is not waited for', 60_000, 70_000, [starts(100, 3_050), starts(120, 3_060)], false],
])('%s', (_what, notifiedAt = NEVER, now, watched, expected) => {
  expect(isRestarting(lifeOf({ notifiedAt }, watched, now))).toBe(expected);
});

test('a second start at its usual time counts, although watches of the first are left a moment later', () => {
  const crds = { startedAt: 40, notifiedAt: 50, leftAt: 3_055 };
  expect(isRestarting(lifeOf(crds, [starts(3_050), starts(3_060)], 4_200))).toBe(false);
});

test('a second start that comes at once is known by the watches that were left', () => {
  const crds = { startedAt: 40, notifiedAt: 50, leftAt: 690 };
  expect(isRestarting(lifeOf(crds, [starts(700), starts(710)], 1_800))).toBe(false);
  expect(isRestarting(lifeOf(crds, [starts(700), starts(100)], 1_800))).toBe(true);
});

test('a resumed exporter has had its second start', () => {
  const crds = { startedAt: NEVER, notifiedAt: 60_000, leftAt: NEVER };
  expect(isRestarting(lifeOf(crds, [starts(), starts()], 61_000))).toBe(true);
  expect(isRestarting(lifeOf(crds, [starts(62_000), starts(62_010)], 64_000))).toBe(false);
});

test.each<readonly [string, number | undefined, number, ReturnType<typeof starts>[], boolean]>([
  ['that was notified of nothing', undefined, 4_000, [starts(100)], false],
  ['that was notified and has done nothing yet', 60_000, 60_500, [starts(100, 3_050), starts(120, 3_060)], true],
  ['whose new watches are being filled', 60_000, 63_000, [starts(3_050, 62_000), starts(3_060, 62_010)], true],
  ['that opened one of them once more', 60_000, 65_000, [starts(3_050, 62_000), starts(62_010, 64_000)], false],
  ['that has not come to an end in a minute', 60_000, 120_000, [starts(3_050, 62_000)], false],
  ['that was started itself', 50, 2_000, [starts(100), starts(120)], false],
])('whether an exporter that is not whole starts over: one %s', (_what, notifiedAt = NEVER, now, watched, expected) => {
  expect(lifeOf({ notifiedAt }, watched, now).isStartingOver).toBe(expected);
});

test.each<readonly [string, number, Partial<CrdTimes> | undefined, number, StartOutlook]>([
  ['before the one of the CRDs', 100, undefined, 1_050, 'unknown'],
  ['that no CRDs follow', 100, undefined, 1_150, 'kept'],
  ['while the CRDs are being listed', 100, { watch: 'pending' }, 9_000, 'unknown'],
  ['whose CRDs cannot be listed', 100, { watch: 'pending' }, 10_040, 'kept'],
  ['where there are no CRDs', 100, {}, 120, 'kept'],
  ['where there were none, and one has gone before', 100, { notifiedAt: 30 }, 120, 'kept'],
  ['of the first start', 100, { notifiedAt: 50 }, 120, 'dropped'],
  ['of the first start, a moment before the CRDs', 20, { notifiedAt: 50 }, 120, 'dropped'],
  ['of the first start, to the end', 100, { notifiedAt: 50 }, 10_049, 'dropped'],
  ['of a first start that no second follows', 100, { notifiedAt: 50 }, 10_050, 'kept'],
  ['of the second start', 3_050, { notifiedAt: 50 }, 3_050, 'kept'],
  ['of a second start that comes at once', 700, { notifiedAt: 50, leftAt: 690 }, 700, 'kept'],
  [
    'of an exporter that was started again, after one whose second start was seen',
    100,
    { notifiedAt: 50, leftAt: 20 },
    120,
    'dropped',
  ],
  ['in later life', 70_000, { notifiedAt: 50 }, 70_000, 'kept'],
  ['after later news', 70_000, { notifiedAt: 69_000 }, 70_000, 'kept'],
])('what becomes of a watch %s', (_what, askedAt, crds, now, expected) => {
  expect(startOutlook(timesOf({ crds: crds && crdsOf(crds) }), askedAt, now)).toBe(expected);
});

describe('news of CRDs', () => {
  /** The exporter looks at 62_000, 65_000, 68_000 … */
  const watched = [starts(3_050, 62_000), starts(3_060, 62_010), starts(62_010, 64_500)];
  const after = (now: number, { isBusy = false, notifiedAt = 61_500 } = {}): number =>
    notificationDelay(timesOf({ crds: crdsOf({ notifiedAt }), watched }), !isBusy, now);

  test.each([
    [65_900, 1_400],
    [67_299, 1],
    [67_300, 0],
    [67_750, 0],
    [67_751, 2_549],
  ])('that come at %i wait for %i ms, until shortly before the exporter looks', (now, expected) => {
    expect(after(now)).toBe(expected);
  });

  test('wait for the next time while it is busy with the last ones, but not for ever', () => {
    expect(after(67_300, { isBusy: true })).toBe(3_000);
    expect(after(67_300, { isBusy: true, notifiedAt: 52_300 })).toBe(0);
  });

  test('are notified together', () => {
    expect(after(67_700, { isBusy: true, notifiedAt: 67_301 })).toBe(0);
    expect(after(67_760, { isBusy: true, notifiedAt: 67_301 })).toBe(2_540);
  });

  test('do not wait while it is not known when it looks', () => {
    const at = (startedAt: number, feeds: ReturnType<typeof starts>[]): number =>
      notificationDelay(timesOf({ crds: crdsOf({ startedAt }), watched: feeds }), true, 2_000);
    expect(at(40, [starts(100), starts(120)])).toBe(0);
    expect(at(40, [])).toBe(0);
    // It was resumed.
    expect(at(NEVER, [starts(), starts()])).toBe(0);
    expect(at(NEVER, [starts(1_000)])).toBe(1_300);
  });
});

describe('the life of an exporter', () => {
  const NOW = 100_000;
  const rows: readonly [ExporterState, Partial<ExporterTimes>][] = [
    ['Absent', { openedAt: [] }],
    ['Opening', { openedAt: [0, NOW - SETTLE_MS + 1] }],
    ['Settled', { openedAt: [0, NOW - SETTLE_MS] }],
    ['Returning', { resumedAt: NOW - RESUME_MS + 1 }],
    ['Returning', { resumedAt: NOW - 1, openedAt: [] }],
    ['Resuming', { resumedAt: NOW - RESUME_MS + 1, initialSyncComplete: false }],
    ['Settled', { resumedAt: NOW - RESUME_MS, initialSyncComplete: false }],
    ['Extending', { resumedAt: NOW - RESUME_MS, openedAt: [0, NOW - 1] }],
    ['Discovering', { crds: crdsOf({ createdAt: NOW - 1, isListed: false, watch: 'none' }) }],
    ['Settled', { crds: crdsOf({ createdAt: NOW - 1, isListed: false, isResumed: true }) }],
    ['Discovering', { crds: crdsOf({ startedAt: NOW - 20, notifiedAt: NOW - 10 }) }],
    ['Restarting', { crds: crdsOf({ notifiedAt: NOW - 10 }) }],
    ['Restarting', { crds: crdsOf({ notifiedAt: NOW - 10 }), resumedAt: NOW - 20 }],
  ];

  test.each(rows)('%s: %o', (state, times) => {
    expect(exporterLife(timesOf(times), NOW).state).toBe(state);
  });

  test('continues when all its watches have started again and settled', () => {
    const times = timesOf({ crds: crdsOf({ notifiedAt: NOW - 10 }), watched: [starts(0, NOW - 9)] });
    expect(exporterLife(times, NOW).state).toBe('Restarting');
    expect(exporterLife(times, NOW - 9 + SETTLE_MS).state).toBe('Settled');
  });

  test('tells whether what it had has had time to come back, whatever it does meanwhile', () => {
    const crds = crdsOf({ notifiedAt: NOW - 10 });
    const isBack = (resumedAt?: number): boolean => exporterLife(timesOf({ crds, resumedAt }), NOW).isBack;
    expect([isBack(), isBack(NOW - 1), isBack(NOW - RESUME_MS)]).toEqual([true, false, true]);
  });
});

test('news of a kind that goes away are forwarded although it is not whole', () => {
  const watched = [starts(3_050, 62_000)];
  const delay = (isTroubled: boolean): number =>
    notificationDelay(
      timesOf({
        crds: crdsOf({ notifiedAt: 61_500 }),
        watched: [...watched, { ...starts(62_000), isTroubled }],
      }),
      false,
      67_300,
    );
  expect([delay(false), delay(true)]).toEqual([3_000, 0]);
});

test('without CRDs of its own nothing is kept from it', () => {
  expect(notificationDelay(timesOf(), false, 67_300)).toBe(0);
});
