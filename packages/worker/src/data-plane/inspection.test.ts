import { describe, expect, test } from 'vitest';
import { explainObject, type ObjectInFeed } from './inspection.ts';

type Watches = ObjectInFeed['watches'];

const shown = { id: 1, sent: true, slotState: 'Shown', acknowledged: true, queuedFrames: 0 } as const;
const inFeed = (watches: Watches, connected = true) => [{ feed: '/api/v1/pods', connected, watches }];
const owned = { isAssigned: true, slot: 7, role: 'owned' } as const;

describe('why an object is here or not', () => {
  test.each<[Parameters<typeof explainObject>[0], RegExp]>([
    [{ ...owned, isAssigned: false, feeds: [] }, /no assignment yet/],
    [{ ...owned, slot: undefined, feeds: [] }, /no feed has an object of this name/],
    [{ ...owned, role: 'none', feeds: inFeed([{ ...shown, sent: false }]) }, /slot 7 belongs to another shard/],
    [{ ...owned, role: 'none', feeds: [] }, /slot 7 belongs to another shard/],
    [{ ...owned, feeds: [] }, /no feed knows the object/],
    [{ ...owned, feeds: inFeed([]) }, /no watch on \/api\/v1\/pods/],
    [{ ...owned, feeds: inFeed([{ ...shown, sent: false, slotState: 'Loading' }]) }, /slot 7 is being listed/],
    [{ ...owned, feeds: inFeed([{ ...shown, sent: false }]) }, /the worker has not sent it/],
    [{ ...owned, feeds: inFeed([{ ...shown, acknowledged: false }]) }, /not acknowledged by the exporter yet/],
    [{ ...owned, feeds: inFeed([shown]) }, /^here: slot 7 is owned, and the exporter has acknowledged it$/],
    [{ ...owned, role: 'warm', feeds: inFeed([shown]) }, /^here: slot 7 is warm/],
    [{ ...owned, role: 'release', feeds: inFeed([shown]) }, /here still: slot 7 is leaving/],
    [{ ...owned, feeds: inFeed([shown], false) }, /cut off from the API server, so it may be out of date/],
  ])('%j', (facts, expected) => {
    expect(explainObject(facts)).toMatch(expected);
  });
});
