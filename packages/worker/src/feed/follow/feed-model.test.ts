import fc from 'fast-check';
import { expect, test } from 'vitest';
import { SlotRole } from '../../slots/slot-plan.ts';
import type { Trouble } from '../../upstream/testing/troubled-upstream.ts';
import { complaints, finalComplaints } from './testing/feed-complaints.ts';
import { FeedModel, SLOTS } from './testing/feed-model.ts';

/** MODEL_RUNS histories; with MODEL_SEED and MODEL_PATH, as a failure prints them, the same ones again. */
const RUNS = Number(process.env['MODEL_RUNS'] ?? 500);
const { MODEL_SEED, MODEL_PATH } = process.env;

/** What happens; each step is followed by `turns` turns of the event loop. */
type Step = (model: FeedModel) => void | Promise<void>;

function step(name: string, act: Step): { readonly name: string; readonly act: Step } {
  return { name, act };
}

const name = fc.integer({ min: 0, max: 9 }).map((n) => `web-${n}`);
const which = fc.nat(1);
const few = fc.nat(4);

const changes = fc.oneof(
  { weight: 4, arbitrary: name.map((of) => step(`change ${of}`, (model) => model.touch(of))) },
  { weight: 2, arbitrary: name.map((of) => step(`delete ${of}`, (model) => model.remove(of))) },
  { weight: 2, arbitrary: name.map((of) => step(`re-create ${of}`, (model) => model.recreate(of))) },
  { weight: 1, arbitrary: name.map((of) => step(`relabel ${of}`, (model) => model.relabel(of))) },
);

/** Slots as bits: one slot in or out, half of them, all, none. */
const moves = fc.oneof(
  fc
    .nat(SLOTS - 1)
    .map((slot) => step(`toggle slot ${slot}`, (model) => model.assign(toggled(model.roles, 1 << slot)))),
  fc
    .constantFrom(0x0f, 0xf0, 0x55, 0xff)
    .map((bits) => step(`toggle slots ${bits.toString(2)}`, (model) => model.assign(toggled(model.roles, bits)))),
  fc
    .constantFrom(0x0f, 0xff, 0x3c, 0)
    .map((bits) =>
      step(`own slots ${bits.toString(2)}`, (model) => model.assign(toggled(new Uint8Array(SLOTS), bits))),
    ),
  fc
    .constantFrom(0x01, 0x0f, 0x55, 0xff)
    .map((bits) => step(`release slots ${bits.toString(2)}`, (model) => model.release(bits))),
  fc.constant(step('compare', (model) => model.compare())),
  fc.constant(step('prove', (model) => model.prove())),
);

function toggled(roles: Uint8Array, bits: number): Uint8Array {
  return roles.map((role, slot) => ((((bits >> slot) & 1) === 1) === (role === SlotRole.Owned) ? 0 : SlotRole.Owned));
}

const does: fc.Arbitrary<Trouble['does']> = fc.oneof(
  fc
    .constantFrom(
      [410, 'Expired'] as const,
      [429, 'TooManyRequests'] as const,
      [500, 'InternalError'] as const,
      [422, 'Invalid'] as const,
    )
    .map(([code, reason]) => ({ what: 'refuse', code, reason }) as const),
  fc.integer({ min: 1, max: 12 }).map((turns) => ({ what: 'delay', turns }) as const),
  fc.integer({ min: 1, max: 3 }).map((turns) => ({ what: 'trickle', turns }) as const),
  fc.nat(3).map((parts) => ({ what: 'break', parts }) as const),
);

const faults = fc.oneof(
  fc.constant(step('the watch ends', (model) => model.api.cut())),
  fc.constant(step('the watch breaks', (model) => model.api.cut(new Error('ECONNRESET')))),
  fc.constant(
    step('the watch breaks and is expired', (model) => {
      model.api.cut();
      model.api.forget();
    }),
  ),
  fc.constant(step('etcd is backed up', (model) => model.backUp())),
  fc.constant(step('the backup is restored', (model) => model.restore())),
  fc
    .record({ lists: few, lead: few, watches: few, bits: fc.constantFrom(0x0f, 0xff) })
    .map((how) => step(`restored while slots move ${JSON.stringify(how)}`, (model) => restoredAmidMove(model, how))),
  fc.boolean().map((inStream) =>
    step(`expired ${inStream ? 'in the stream' : 'in the answer'}`, (model) => {
      model.api.refusesExpired = inStream ? 'in the stream' : 'in the answer';
    }),
  ),
  fc.boolean().map((narrows) => step(`narrows ${narrows}`, (model) => void (model.api.narrows = narrows))),
  fc.constant(step('the watch lags', (model) => void model.api.hold())),
  fc.constant(step('the watch catches up', (model) => model.api.hold().release())),
  fc
    .record({ on: fc.constantFrom('watch', 'watchList', 'list', 'object'), does })
    .map((trouble) => step(`next ${JSON.stringify(trouble)}`, (model) => model.upstream.add(trouble))),
);

/**
 * The answers to a comparison with the restored cluster, and to a watch for other slots, come after so many turns; the
 * slots move `lead` turns after the restore.
 */
async function restoredAmidMove(
  model: FeedModel,
  { lists, lead, watches, bits }: Record<'lists' | 'lead' | 'watches' | 'bits', number>,
): Promise<void> {
  model.restore();
  for (let i = 0; i < 2; i++) model.upstream.add({ on: 'list', does: { what: 'delay', turns: i * lists } });
  await model.pass(lead);
  model.upstream.add({ on: 'watch', does: { what: 'delay', turns: watches } });
  model.assign(toggled(model.roles, bits));
}

const exporters = fc.oneof(
  fc
    .tuple(which, fc.boolean())
    .map(([i, isFull]) => step(`stall ${i} ${isFull}`, (model) => model.stallExporter(i, isFull))),
  which.map((i) => step(`drain ${i}`, (model) => model.drainExporter(i))),
  fc
    .tuple(which, few, few)
    .map(([i, arrived, away]) => step(`lose ${i} ${arrived} ${away}`, (model) => model.loseExporter(i, arrived, away))),
  which.map((i) => step(`restart exporter ${i}`, (model) => model.restartExporter(i))),
  few.map((arrived) => step(`restart the worker ${arrived}`, (model) => model.restartWorker(arrived))),
  fc.constant(step('tidy', (model) => model.tidy())),
);

const history = fc.array(
  fc
    .record({
      what: fc.oneof(
        { weight: 8, arbitrary: changes },
        { weight: 4, arbitrary: moves },
        { weight: 3, arbitrary: faults },
        { weight: 2, arbitrary: exporters },
      ),
      turns: fc.oneof(fc.nat(3), fc.nat(12)),
    })
    .map((entry) => ({ ...entry, [fc.toStringMethod]: () => `${entry.what.name}; ${entry.turns} turns` })),
  { minLength: 1, maxLength: 60, size: 'max' },
);

/** A small generator, so that a run is repeated exactly. */
function randomOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

/** All trouble ends, and the cluster continues: whoever is deaf shows it now. */
async function goOn(model: FeedModel): Promise<void> {
  model.upstream.clear();
  model.api.hold().release();
  await model.noticed();
  model.touch('web-0');
  model.remove('web-1');
  await model.settle();
}

test('a feed shows every exporter exactly the objects of its slots, whatever has happened', {
  timeout: 3_600_000,
}, async () => {
  const setting = fc.record({
    exporters: fc.integer({ min: 1, max: 2 }),
    isCounted: fc.boolean(),
    narrows: fc.boolean(),
    seed: fc.nat(),
    history,
  });
  await fc.assert(
    fc.asyncProperty(setting, async ({ exporters: count, isCounted, narrows, seed, history: steps }) => {
      const model = new FeedModel(count, isCounted, randomOf(seed));
      try {
        model.api.narrows = narrows;
        for (let i = 0; i < 6; i++) model.touch(`web-${i}`);
        model.assign(new Uint8Array(SLOTS).fill(SlotRole.Owned, 0, SLOTS / 2));
        for (const { what, turns } of steps) {
          await what.act(model);
          await model.pass(turns);
          expect(complaints(model)).toEqual([]);
        }
        await goOn(model);
        expect(finalComplaints(model)).toEqual([]);
      } finally {
        model.stop();
      }
    }),
    {
      numRuns: RUNS,
      ...(MODEL_SEED !== undefined && { seed: Number(MODEL_SEED) }),
      ...(MODEL_PATH !== undefined && { path: MODEL_PATH, endOnFailure: true }),
    },
  );
});

/** The backup is restored, and nothing else happens until everybody has noticed. */
function backTo(model: FeedModel): Promise<void> {
  model.restore();
  return model.noticed();
}

type Interleaving = readonly (readonly [Step, turns: number])[];

const GONE_WHEN_FETCHED: Interleaving = [
  [() => undefined, 30],
  [
    (model) => {
      model.api.hold();
      model.recreate('web-8');
      model.upstream.add({ on: 'list', does: { what: 'delay', turns: 40 } });
      model.api.cut();
      model.api.forget();
    },
    12,
  ],
  [(model) => model.recreate('web-8'), 60],
];

/** Interleavings that once lost, doubled, miscounted or hung something. */
const FOUND: Readonly<Record<string, Interleaving>> = {
  'the API server goes back while the worker itself opens its watch again': [
    [(model) => model.backUp(), 30],
    [(model) => model.touch('web-0'), 30],
    [(model) => model.tidy(), 9],
    [(model) => model.assign(toggled(model.roles, 1 << 4)), 0],
    [(model) => backTo(model), 0],
  ],
  'the API server goes back while a watch for other slots is being opened from what is lost': [
    [(model) => model.assign(toggled(new Uint8Array(SLOTS), 0x03)), 60],
    [(model) => model.tidy(), 40],
    [
      (model) => {
        model.backUp();
        for (let i = 0; i < 6; i++) for (const of of ['web-0', 'web-8', 'web-9']) model.touch(of);
      },
      20,
    ],
    [(model) => restoredAmidMove(model, { lists: 9, lead: 5, watches: 9, bits: 0xfc }), 1],
    [(model) => model.noticed(), 80],
    [(model) => model.remove('web-3'), 60],
  ],
  'the API server goes back before a worker that was restarted has sent its exporter everything again': [
    [(model) => model.backUp(), 0],
    [(model) => model.recreate('web-0'), 2],
    [(model) => model.restartWorker(0), 2],
    [(model) => backTo(model), 0],
  ],
  'the API server goes back while a worker that was restarted opens its first watch': [
    [(model) => model.backUp(), 1],
    [(model) => model.upstream.add({ on: 'list', does: { what: 'delay', turns: 1 } }), 0],
    [(model) => model.remove('web-0'), 1],
    [(model) => model.restartWorker(0), 1],
    [(model) => backTo(model), 0],
  ],
  'the API server goes back and the watch is open again before a load has shown what is lost': [
    [(model) => model.backUp(), 0],
    [(model) => void model.api.hold(), 1],
    [(model) => model.upstream.add({ on: 'watchList', does: { what: 'delay', turns: 1 } }), 0],
    [(model) => model.touch('web-0'), 0],
    [(model) => model.api.cut(), 1],
    [(model) => backTo(model), 0],
  ],
  'an exporter is lost while it is told of what was deleted before the worker died': [
    [(model) => model.stallExporter(0, false), 0],
    [(model) => model.recreate('web-1'), 2],
    [(model) => model.recreate('web-0'), 0],
    [(model) => model.restartWorker(2), 0],
    [(model) => model.stallExporter(0, false), 2],
    [(model) => model.loseExporter(0, 1, 0), 0],
    [(model) => model.touch('web-0'), 0],
  ],
  'the feed narrows before a resumed exporter was told of a deletion': [
    [() => undefined, 30],
    [(model) => void model.api.hold(), 0],
    [(model) => model.remove('web-1'), 0],
    [(model) => model.restartWorker(0), 0],
    [(model) => model.assign(new Uint8Array(SLOTS)), 30],
    [(model) => model.tidy(), 9],
  ],
  'a load for one exporter shows the other what is ahead of the watch, and the worker dies': [
    [() => undefined, 30],
    [(model) => void model.api.hold(), 0],
    [(model) => model.recreate('web-0'), 0],
    [(model) => model.restartExporter(0), 12],
    [(model) => model.restartWorker(0), 0],
  ],
  'an object that a comparison has listed is gone when it is fetched, and the watch has yet to say so':
    GONE_WHEN_FETCHED,
  'an object that a comparison has listed is gone when everything is read, and the watch has yet to say so': [
    [(model) => void (model.feed.reader.readsSingles = false), 0],
    ...GONE_WHEN_FETCHED,
  ],
};

for (const [what, steps] of Object.entries(FOUND)) {
  test.each([true, false])(`${what}; the server narrows: %s`, async (narrows) => {
    // The exact turn at which things happen depends on what else is done: every small delay is tried.
    for (const exporters of [1, 2])
      for (let delay = 0; delay < 16; delay++) {
        const model = new FeedModel(exporters, false, () => 0);
        try {
          model.api.narrows = narrows;
          for (let i = 0; i < 6; i++) model.touch(`web-${i}`);
          model.assign(new Uint8Array(SLOTS).fill(SlotRole.Owned, 0, SLOTS / 2));
          for (const [act, turns] of steps) {
            await act(model);
            await model.pass(turns === 0 ? 0 : turns + delay);
            expect(complaints(model)).toEqual([]);
          }
          await goOn(model);
          expect(finalComplaints(model)).toEqual([]);
        } finally {
          model.stop();
        }
      }
  });
}
