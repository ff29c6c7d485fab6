import type { Heartbeat } from '@shard-controller/shared/contracts';
import { describe, expect, it } from 'vitest';
import { heartbeatOf } from '../testing/index.ts';
import { type LoadMarks, loadMarks, loadProgress } from './load-progress.ts';

type Saying = Omit<Partial<Heartbeat>, 'load' | 'feeds' | 'slots'> & {
  readonly objects?: number;
  readonly synced?: number;
  readonly shown?: number;
  readonly assigned?: number;
};

function loading({ objects = 1000, synced = 10, shown = 0, assigned = 64, ...over }: Saying = {}): Heartbeat {
  return heartbeatOf({
    phase: 'Warming',
    gateway: { state: 'warming', reason: '', scrapers: [] },
    feeds: { synced, total: 30, oldestProofMs: 1 },
    slots: { assigned, acknowledged: shown, shown },
    load: { ...heartbeatOf({}).load, objects },
    ...over,
  });
}

/** When the load grew last, one heartbeat a second from 0 on, ms. */
function grewAt(...said: readonly Heartbeat[]): number | undefined {
  const marks = said.reduce<LoadMarks | undefined>((before, each, i) => loadMarks(before, each, i * 1000), undefined);
  return marks?.grewAt;
}

describe('a load grows', () => {
  it.each<[string, Saying]>([
    ['a list is through', { synced: 11 }],
    ['slots are shown', { shown: 3 }],
    ['objects were sent', { objects: 1011 }],
    ['it was assigned more', { assigned: 70 }],
  ])('when %s', (_, change) => {
    expect(grewAt(loading(), loading(), loading(change), loading(change))).toBe(2000);
  });

  it('not by what live events add and take', () => {
    const noise = [1000, 1009, 991, 1010, 990].map((objects) => loading({ objects }));
    expect(grewAt(...noise)).toBe(0);
  });

  it('not by what it had before, nor by what it is relieved of', () => {
    expect(grewAt(loading(), loading({ objects: 500, synced: 9 }), loading())).toBe(0);
    expect(grewAt(loading(), loading({ assigned: 0 }), loading())).toBe(0);
  });

  it('for the first time when its exporter starts, and as long as that starts over', () => {
    const gone = loading({ exporter: { state: 'unreachable', since: 1 } });
    expect(grewAt(loading(), gone, gone, loading({ objects: 0 }))).toBe(3000);
    const startsOver = loading({ gateway: { state: 'warming', reason: '', startsOver: true, scrapers: [] } });
    expect(grewAt(loading(), startsOver, startsOver)).toBe(2000);
  });
});

describe('the progress of a load', () => {
  const progress = (heartbeat: Heartbeat, listeningSince = 0) =>
    loadProgress(loadMarks(undefined, heartbeat, 1000), heartbeat, listeningSince, 9000);

  it('counts as stalled from when it grew, or from when this manager could hear of it', () => {
    expect(progress(loading()).standstillMs).toBe(8000);
    expect(progress(loading(), 7000).standstillMs).toBe(2000);
  });

  it('is complete when everything is shown, also by an exporter that a restarted worker has yet to hear of', () => {
    expect(progress(heartbeatOf({}))).toMatchObject({ complete: true, standstillMs: 0, shownSlots: 128 });
    const back = loading({ gateway: { state: 'serving', reason: '', scrapers: [] }, shown: 64 });
    expect(progress({ ...back, slots: { ...back.slots, acknowledged: 0 } })).toMatchObject({ complete: true });
    const taking = loading({ gateway: { state: 'serving', reason: '', scrapers: [] }, shown: 32 });
    expect(progress(taking)).toMatchObject({ complete: false, shownSlots: 32 });
  });

  it('of a worker of the version before is what it has acknowledged', () => {
    const older = { ...loading({ phase: 'Pending' }), slots: { assigned: 64, acknowledged: 5 } };
    expect(progress(older).shownSlots).toBe(5);
  });
});
