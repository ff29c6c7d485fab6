import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ObjectIndex } from './object-index.ts';

const SLOTS = 4;

test('sums per slot are those of the objects that were sent, whatever happens to them', () => {
  const step = fc.record({
    what: fc.constantFrom('add', 'send', 'unsend', 'remove'),
    uid: fc.integer({ min: 0, max: 9 }),
    bit: fc.constantFrom(1, 2, 4),
    bytes: fc.integer({ min: 1, max: 1000 }),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const index = new ObjectIndex(SLOTS);
      for (const { what, uid: number, bit, bytes } of steps) {
        const uid = `u${number}`;
        const entry = index.get(uid) ?? (what === 'add' ? index.add(uid, number % SLOTS, 'ns', uid, '1') : undefined);
        if (entry === undefined) continue;
        if (what === 'send') {
          index.markSent(entry, bit);
          index.measure(entry, bytes);
        } else if (what === 'unsend') index.clearSent(entry, bit);
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
