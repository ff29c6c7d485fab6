import { describe, expect, test } from 'vitest';
import type { Change } from '../../upstream/testing/stepped-api-server.ts';
import { type Choose, everyWay } from './testing/every-way.ts';
import { type Reading, SteppedMove } from './testing/stepped-move.ts';

/** What can happen to `web`, and to an object of the slot that stays, one change after the other. */
function history(choose: Choose, count: number, others: readonly Change[] = []): Change[] {
  const changes: Change[] = [];
  let web: string | undefined = 'moved/web/1';
  for (let i = 0; i < count; i++) {
    const uid: string = web ?? '';
    const created = ['moved', 'kept', 'other'].map((place) => `${place}/web/${i + 2}`);
    const next: Change[] =
      web === undefined
        ? created.map((again) => ({ type: 'ADDED', uid: again }))
        : [
            { type: 'MODIFIED', uid },
            { type: 'DELETED', uid },
          ];
    const change = choose(
      [...next, ...others].map((each) => ({ ...each, toString: () => `${each.type} ${each.uid}` })),
    );
    changes.push(change);
    if (change.type === 'ADDED') web = change.uid;
    if (change.type === 'DELETED') web = undefined;
  }
  return changes;
}

/** Enough others for single reads of the moved ones to be cheaper than a list. */
const FEW = ['kept/a/1', 'moved/web/1', 'other/x/1', 'other/y/1', 'other/z/1'];
const TWO_MOVED = ['kept/a/1', 'moved/web/1', 'moved/db/1', 'other/x/1', 'other/y/1', 'other/z/1', 'other/w/1'];
const LISTED = ['kept/a/1', 'moved/web/1'];
const NARROWED = ['kept/a/1', 'moved/web/1', 'other/x/1'];

interface Case {
  readonly what: string;
  /** How many orders there are. */
  readonly ways: number;
  readonly reading: Reading;
  readonly objects: readonly string[];
  /** How many changes come. */
  readonly changes: number;
  readonly others?: readonly Change[];
  readonly end?: 'take back' | 'release';
}

const CASES: readonly Case[] = [
  { what: 'single reads', ways: 1225, reading: 'singles', objects: FEW, changes: 3 },
  { what: 'single reads of two objects', ways: 492, reading: 'singles', objects: TWO_MOVED, changes: 2 },
  { what: 'single reads, rolled back', ways: 1813, reading: 'singles', objects: FEW, changes: 2, end: 'take back' },
  { what: 'a list, rolled back', ways: 2437, reading: 'list', objects: LISTED, changes: 2, end: 'take back' },
  { what: 'a widened watch', ways: 1968, reading: 'narrowed list', objects: NARROWED, changes: 2 },
  {
    what: 'a widened watch, beside changes of what it showed before',
    ways: 252,
    reading: 'narrowed list',
    objects: NARROWED,
    changes: 1,
    others: [{ type: 'MODIFIED', uid: 'kept/a/1' }],
  },
  { what: 'single reads, released', ways: 2653, reading: 'singles', objects: FEW, changes: 2, end: 'release' },
  { what: 'a list, released', ways: 414, reading: 'list', objects: LISTED, changes: 1, end: 'release' },
  {
    what: 'a widened watch, rolled back',
    ways: 2168,
    reading: 'narrowed list',
    objects: NARROWED,
    changes: 1,
    end: 'take back',
  },
];

/**
 * MODIFIED, DELETED and re-creation under the same name in another or the same slot, each heard of by the watch at any
 * time after it happened; answers of any state that they may be of; the exporter's acknowledgement, and the decisions.
 */
describe('a moved slot is complete, and nothing is lost, doubled or left over, in every order of events and answers', () => {
  for (const { what, ways, reading, objects, changes, others, end } of CASES) {
    test(`${what} (${ways} interleavings)`, async () => {
      const tried = await everyWay((choose) =>
        new SteppedMove({ reading, objects, changes: history(choose, changes, others), end }).play(choose),
      );
      expect(tried).toBe(ways);
    });
  }
});
