import { expect, test } from 'vitest';
import { ObjectIndex } from '../feed/books/object-index.ts';
import { SlotCosts } from './slot-costs.ts';

test('churn is the rate of live bytes per slot, smoothed over about a minute', () => {
  const index = new ObjectIndex(2);
  const costs = new SlotCosts();
  costs.observe([index], 0);
  for (let second = 1; second <= 600; second++) {
    index.noteEvent(1, 1_000);
    costs.observe([index, undefined], second * 1_000);
  }
  expect(costs.load([index], 1).churn).toBeCloseTo(1_000, -1);
  expect(costs.load([index], 0).churn).toBe(0);
  for (let second = 601; second <= 660; second++) costs.observe([index], second * 1_000);
  expect(costs.load([index], 1).churn).toBeGreaterThan(300);
  expect(costs.load([index], 1).churn).toBeLessThan(450);
  expect(costs.total).toBe(costs.load([index], 1).churn);
});

test('a feed that ends is no negative churn, and one that begins no burst', () => {
  const [old, young] = [new ObjectIndex(2), new ObjectIndex(2)];
  old.noteEvent(0, 1_000_000);
  const costs = new SlotCosts();
  costs.observe([old], 0);
  costs.observe([old], 10_000);
  expect(costs.total).toBe(0);
  costs.observe([young], 20_000);
  expect(costs.total).toBe(0);
  young.noteEvent(0, 5_000);
  costs.observe([young], 30_000);
  expect(costs.total).toBeGreaterThan(0);
});

test('objects and bytes of a slot are summed over the feeds', () => {
  const indexes = [new ObjectIndex(2), new ObjectIndex(2)];
  for (const index of indexes) {
    const entry = index.add('u', 1, '', 'u', '1');
    index.markSent(entry, 1);
    index.measure(entry, 70);
  }
  expect(new SlotCosts().load(indexes, 1)).toEqual({ objects: 2, bytes: 140, churn: 0 });
});
