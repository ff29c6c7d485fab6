import fc from 'fast-check';
import { elapse, until } from '@shard-controller/shared/testing';
import { afterEach, describe, expect, test } from 'vitest';
import { SlotState } from '../feed/books/subscription.ts';
import { ScriptedApiServer } from '../upstream/testing/scripted-api-server.ts';
import { TwoWorkers } from './testing/two-workers.ts';

let workers: TwoWorkers | undefined;

afterEach(() => workers?.stop());

async function warmWorkers(...uids: readonly string[]): Promise<{ readonly api: ScriptedApiServer; w: TwoWorkers }> {
  const api = new ScriptedApiServer();
  for (const uid of uids) api.change('ADDED', uid);
  workers = new TwoWorkers(api);
  await workers.warm();
  return { api, w: workers };
}

/** Less than a manager has to be silent for late objects to be let go unproved, ms. */
const UNASKED_MS = 14_000;

describe('a slot is released only when its new shard shows all that the old one shows', () => {
  test('also an object that is created after the verification, however far behind the new one is', async () => {
    const { api, w } = await warmWorkers('old#1');
    expect(await w.verified()).toBe(true);
    w.target.upstream.lag();
    api.change('ADDED', 'new#1');
    await until(() => w.source.peer.store.has('new#1'));
    w.commit();
    await until(() => !w.source.peer.store.has('old#1'));
    for (let minutes = 0; minutes < 10; minutes += UNASKED_MS / 60_000) {
      w.pass(UNASKED_MS);
      expect(await w.proved()).toBe(false);
    }
    expect([...w.source.peer.store.keys()]).toEqual(['new#1']);
    expect(w.source.all(SlotState.Hidden)).toBe(false);

    // It has heard of it, and its exporter has yet to render it.
    w.target.peer.stalls = true;
    w.target.upstream.catchUp();
    await until(() => w.target.knows('new#1'));
    expect(await w.proved()).toBe(false);
    expect([...w.shown()].sort()).toEqual(['new#1', 'old#1']);

    w.target.peer.drain();
    await until(() => w.target.peer.store.has('new#1'));
    expect(await w.proved(5_000)).toBe(true);
    await w.source.settled(SlotState.Hidden);
    expect([...w.source.peer.store.keys()]).toEqual([]);
    expect([...w.shown()].sort()).toEqual(['new#1', 'old#1']);
  });

  test('at once, where nothing has come since the verification', async () => {
    const { api, w } = await warmWorkers('old#1');
    api.change('ADDED', 'new#1');
    await until(() => w.source.peer.store.has('new#1') && w.target.peer.store.has('new#1'));
    expect(await w.verified()).toBe(true);
    w.commit();
    await w.source.settled(SlotState.Hidden);
    expect([...w.source.peer.store.keys()]).toEqual([]);
  });

  test('which no verification finds before the exporter of the new one has rendered it', async () => {
    const { api, w } = await warmWorkers('old#1');
    w.target.peer.stalls = true;
    api.change('ADDED', 'new#1');
    await until(() => w.source.peer.store.has('new#1'));
    expect(await w.verified(100)).toBe(false);
    w.target.peer.drain();
    expect(await w.verified()).toBe(true);
    expect(w.target.peer.store.has('new#1')).toBe(true);
  });

  test('and what came between a verification that failed and the one that did not is late, too', async () => {
    const { api, w } = await warmWorkers('old#1');
    expect(await w.verified()).toBe(true);
    w.target.upstream.lag();
    api.change('ADDED', 'new#1');
    await until(() => w.source.peer.store.has('new#1'));
    expect(await w.verified(100)).toBe(false);
    // As when the longest overlap is over.
    w.commit();
    await until(() => !w.source.peer.store.has('old#1'));
    expect([...w.source.peer.store.keys()]).toEqual(['new#1']);
  });

  test('everything, where nothing was verified', async () => {
    const { api, w } = await warmWorkers('old#1');
    w.target.upstream.lag();
    api.change('ADDED', 'new#1');
    await until(() => w.source.peer.store.has('new#1'));
    w.commit();
    expect(await w.proved()).toBe(false);
    expect([...w.source.peer.store.keys()].sort()).toEqual(['new#1', 'old#1']);
    w.target.upstream.catchUp();
    await until(() => w.target.peer.store.has('new#1'));
    expect(await w.proved(5_000)).toBe(true);
    await w.source.settled(SlotState.Hidden);
  });

  test('and not when the new one has it no more', async () => {
    const { api, w } = await warmWorkers('old#1');
    expect(await w.verified()).toBe(true);
    api.change('ADDED', 'new#1');
    await until(() => w.source.peer.store.has('new#1') && w.target.peer.store.has('new#1'));
    w.commit();
    w.target.lose();
    await w.target.settled(SlotState.Hidden);
    expect(await w.proved()).toBe(false);
    expect(w.source.peer.store.has('new#1')).toBe(true);
  });

  test('nor is anything waited for that is deleted meanwhile', async () => {
    const { api, w } = await warmWorkers('old#1');
    expect(await w.verified()).toBe(true);
    api.change('ADDED', 'new#1');
    await until(() => w.source.peer.store.has('new#1') && w.target.peer.store.has('new#1'));
    w.commit();
    api.change('DELETED', 'new#1');
    await until(() => w.source.peer.store.size === 0);
    expect(await w.proved(5_000)).toBe(true);
    await w.source.settled(SlotState.Hidden);
  });

  test('a deletion meanwhile ends it, and a slot that is taken back keeps it', async () => {
    const { api, w } = await warmWorkers('old#1');
    expect(await w.verified()).toBe(true);
    for (const uid of ['gone#1', 'stays#1']) api.change('ADDED', uid);
    await until(() => w.source.peer.store.has('stays#1') && w.target.peer.store.has('stays#1'));
    w.commit();
    await until(() => !w.source.peer.store.has('old#1'));
    api.change('DELETED', 'gone#1');
    await until(() => !w.source.peer.store.has('gone#1'));
    w.source.own();
    await w.source.settled(SlotState.Shown);
    expect(await w.proved()).toBe(true);
    expect([...w.source.peer.store.keys()].sort()).toEqual(['old#1', 'stays#1']);
  });

  test('whatever is created and deleted, and however late either of them hears and renders it', async () => {
    const name = fc.integer({ min: 0, max: 5 });
    const step = fc.oneof(
      { weight: 4, arbitrary: name.map((n) => ['create', n] as const) },
      { weight: 2, arbitrary: name.map((n) => ['delete', n] as const) },
      { weight: 3, arbitrary: fc.constantFrom(0, 1).map((n) => ['lag', n] as const) },
      { weight: 2, arbitrary: fc.constantFrom(0, 1).map((n) => ['stall', n] as const) },
      { weight: 1, arbitrary: fc.constant(['time', 0] as const) },
      { weight: 4, arbitrary: fc.constant(['move', 0] as const) },
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 3, maxLength: 25 }), async (steps) => {
        const { api, w } = await warmWorkers('old#1');
        let [verified, committed, generation] = [false, false, 1];
        const seen = new Set<string>();
        const isAway = (): string[] => [...seen].filter((uid) => api.objects.has(uid) && !w.shown().has(uid));
        try {
          for (const [what, n] of steps) {
            const uid = w.there.find((each) => each.startsWith(`o${n}#`));
            if (what === 'create' && uid === undefined) api.change('ADDED', `o${n}#${generation++}`);
            else if (what === 'delete' && uid !== undefined) api.change('DELETED', uid);
            else if (what === 'lag' && n === 1) w.target.upstream.lag();
            else if (what === 'lag') w.target.upstream.catchUp();
            else if (what === 'stall' && n === 1) w.target.peer.stalls = true;
            else if (what === 'stall') w.target.peer.drain();
            else if (what === 'time') {
              w.pass(UNASKED_MS);
              // A manager that is there asks all the while.
              if (committed) await w.proved(50);
            } else if (committed) await w.proved(50);
            else if (verified) {
              w.commit();
              committed = true;
            } else verified = await w.verified(50);
            for (let turn = 0; turn < 4; turn++) {
              for (const each of w.shown()) seen.add(each);
              expect(isAway()).toEqual([]);
              await elapse(1);
            }
          }
          if (!committed) return;
          w.target.upstream.catchUp();
          w.target.peer.drain();
          await expect.poll(() => w.proved()).toBe(true);
          await w.source.settled(SlotState.Hidden);
          expect([w.source.peer.store.size, isAway()]).toEqual([0, []]);
        } finally {
          w.stop();
        }
      }),
      { numRuns: 40 },
    );
  }, 120_000);
});
