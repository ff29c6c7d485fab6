import { describe, expect, test } from 'vitest';
import { FAULT_NAMES } from './faults.ts';
import { describeItem, scheduleOf } from './schedule.ts';

const seeds = Array.from({ length: 400 }, (_, seed) => seed);

describe('a schedule', () => {
  test('is the same for the same seed, and another for another', () => {
    for (const seed of seeds.slice(0, 50)) expect(scheduleOf(seed)).toEqual(scheduleOf(seed));
    const texts = seeds.map((seed) => scheduleOf(seed).items.map(describeItem).join());
    expect(new Set(texts).size).toBe(seeds.length);
  });

  test('injects every fault within as many seeds as there are faults', () => {
    const first = seeds.slice(0, FAULT_NAMES.length).flatMap((seed) => scheduleOf(seed).items);
    const injected = new Set(first.flatMap((item) => (item.type === 'fault' ? [item.fault] : [])));
    expect([...injected].sort()).toEqual([...FAULT_NAMES].sort());
  });

  test('has moves, reversed moves and restarts of everything, and is over soon', () => {
    const items = seeds.flatMap((seed) => scheduleOf(seed).items);
    const types = new Set(items.map(({ type }) => type));
    expect([...types].sort()).toEqual(['fault', 'move', 'restart-api-server', 'restart-exporter', 'restart-worker']);
    expect(items.some((item) => item.type === 'move' && item.reversedAfter !== undefined)).toBe(true);
    for (const item of items) expect(item.at + (item.type === 'fault' ? item.lasts : 0)).toBeLessThan(3_500);
  });

  test('leaves a worker that restarts alone the position that its exporter resumes', () => {
    for (const { items } of seeds.map(scheduleOf)) {
      const restarted = items.find((item) => item.type === 'restart-worker')?.worker;
      const faults = items.flatMap((item) => (item.type === 'fault' && item.worker === restarted ? [item.fault] : []));
      expect(faults.filter((fault) => fault.startsWith('expired'))).toEqual([]);
    }
  });
});
