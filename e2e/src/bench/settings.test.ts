import { expect, test } from 'vitest';
import { ARMS, loadSettings } from './settings.ts';

test('the full bench by default', () => {
  expect(loadSettings({})).toMatchObject({ objects: 20_000, churn: 200, seconds: 120, arms: ARMS });
});

test('arms keep their order, and an unknown one is named', () => {
  expect(loadSettings({ BENCH_ARMS: 'ours,plain' }).arms).toEqual(['plain', 'ours']);
  expect(() => loadSettings({ BENCH_ARMS: 'our', BENCH_OBJECTS: '1' })).toThrow(/BENCH_OBJECTS.*BENCH_ARMS/s);
});
