import { expect, it } from 'vitest';
import { strategyNamed, UnknownStrategyError } from './registry.ts';

it('finds a strategy by the name that specs use', () => {
  expect(strategyNamed('least-loaded').name).toBe('least-loaded');
});

it('names the strategies that exist when asked for another', () => {
  const unknown = (): unknown => strategyNamed('by-moon-phase');
  expect(unknown).toThrow(UnknownStrategyError);
  expect(unknown).toThrow('"by-moon-phase" is unknown; use one of consistent-hash, round-robin, least-loaded');
});
