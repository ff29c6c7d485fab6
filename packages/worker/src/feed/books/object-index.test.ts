import fc from 'fast-check';
import { describe, expect, it, test } from 'vitest';
import { heapAfterCollection } from '../../testing/heap.ts';
import { marksOf, ObjectIndex } from './object-index.ts';

const SLOTS = 4;

test('sums per slot are those of the objects that were sent, whatever happens to them', () => {
  const step = fc.record({
    what: fc.constantFrom('add', 'send', 'unsend', 'remove'),
    uid: fc.integer({ min: 0, max: 9 }),
    mark: fc.constantFrom(0, 1, 29, 30, 31, 95),
    bytes: fc.integer({ min: 1, max: 1000 }),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const index = new ObjectIndex(SLOTS);
      for (const { what, uid: number, mark, bytes } of steps) {
        const uid = `u${number}`;
        const entry = index.get(uid) ?? (what === 'add' ? index.add(uid, number % SLOTS, 'ns', uid, '1') : undefined);
        if (entry === undefined) continue;
        if (what === 'send') {
          index.markSent(entry, mark);
          index.measure(entry, bytes);
        } else if (what === 'unsend') index.clearSent(entry, mark);
        else if (what === 'remove') index.remove(uid);
      }
      const sent = [...index.entries()].map(([, entry]) => entry).filter((entry) => entry.sent !== 0);
      for (let slot = 0; slot < SLOTS; slot++) {
        const here = sent.filter((entry) => entry.slot === slot);
        expect(index.sentInSlot(slot)).toBe(here.length);
        expect(index.sentBytes(slot)).toBe(here.reduce((sum, { bytes }) => sum + bytes, 0));
      }
      expect(index.sentCount).toBe(sent.length);
      expect(index.allSentBytes).toBe(sent.reduce((sum, { bytes }) => sum + bytes, 0));
    }),
  );
});

test('changes of what was sent are counted when an object joins or leaves, not when it changes', () => {
  const index = new ObjectIndex(SLOTS);
  const entry = index.add('u', 1, 'ns', 'u', '1');
  index.markSent(entry, 1);
  index.markSent(entry, 2);
  index.measure(entry, 10);
  expect(index.sentChanges).toBe(1);
  index.clearSent(entry, 1);
  expect(index.sentChanges).toBe(1);
  index.remove('u');
  expect(index.sentChanges).toBe(2);
});

test('tells any number of subscriptions apart', () => {
  const index = new ObjectIndex(SLOTS);
  const entry = index.add('u', 1, 'ns', 'u', '1');
  const marks = Array.from({ length: 500 }, (_, mark) => mark);
  for (const mark of marks) {
    expect(index.isSent(entry, mark)).toBe(false);
    expect(index.isSentToAll(entry, marksOf(marks.slice(0, mark + 1)))).toBe(false);
    index.markSent(entry, mark);
    expect(index.isSentToAll(entry, marksOf(marks.slice(0, mark + 1)))).toBe(true);
  }
  for (const mark of marks) {
    expect([index.isSent(entry, mark), index.sentCount]).toEqual([true, 1]);
    index.clearSent(entry, mark);
    expect(index.isSent(entry, mark)).toBe(false);
  }
  expect([entry.sent, index.sentCount]).toEqual([0, 0]);
});

describe('the object index', () => {
  it('counts an object once however many subscriptions have been sent it', () => {
    const index = new ObjectIndex(4);
    const entry = index.add('u1', 3, 'ns', 'name', '5');
    index.markSent(entry, 1);
    index.markSent(entry, 2);
    expect([index.sentCount, index.sentInSlot(3)]).toEqual([1, 1]);
    index.clearSent(entry, 1);
    expect(index.sentCount).toBe(1);
    index.remove('u1');
    expect([index.size, index.sentCount, index.sentInSlot(3)]).toEqual([0, 0, 0]);
  });

  it('can be emptied while it is gone through', () => {
    const index = new ObjectIndex(4);
    for (let i = 0; i < 100; i++) index.add(`u${i}`, i % 4, 'ns', `name-${i}`, String(i));
    const seen = new Set<string>();
    for (const [uid] of index.entries()) {
      seen.add(uid);
      index.remove(uid);
    }
    expect([seen.size, index.size]).toEqual([100, 0]);
  });

  it('holds 100,000 objects in at most 350 bytes each, whatever buffers their names were read from', () => {
    const index = new ObjectIndex(256);
    const before = heapAfterCollection();
    for (let i = 0; i < 100_000; i++) {
      // A chunk as it comes from the socket: a string that pointed into it would keep it.
      const chunk = Buffer.alloc(512, 0x41);
      chunk.write(`${String(i).padStart(8, '0')}-0000-4000-8000-000000000000`, 0);
      chunk.write(`namespace-${i % 200}`.padEnd(16), 40);
      chunk.write(`deployment-5d8f7c9b4-${String(i).padStart(10, '0')}`, 60);
      chunk.write(String(1_000_000_000 + i), 100);
      const entry = index.add(
        chunk.toString('latin1', 0, 36),
        i % 256,
        chunk.toString('latin1', 40, 56),
        chunk.toString('utf8', 60, 91),
        chunk.toString('latin1', 100, 110),
      );
      if (i % 4 === 0) index.markSent(entry, 1);
    }
    const perObject = (heapAfterCollection() - before) / index.size;
    expect(perObject).toBeLessThan(350);
    expect(index.sentCount).toBe(25_000);
  });
});

test('forgets a namespace with its last object, as in a cluster where thousands come and go a day', () => {
  const index = new ObjectIndex(SLOTS);
  for (let i = 0; i < 100; i++) {
    for (const uid of ['a', 'b']) index.add(`${uid}${i}`, 0, `ns-${i}`, uid, '1');
    index.remove(`a${i}`);
    expect(index.namespaceCount).toBe(1);
    index.remove(`b${i}`);
  }
  expect(index.namespaceCount).toBe(0);
});
