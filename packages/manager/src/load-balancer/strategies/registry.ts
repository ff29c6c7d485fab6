import { consistentHash } from './consistent-hash.ts';
import { leastLoaded } from './least-loaded.ts';
import { roundRobin } from './round-robin.ts';
import type { Strategy } from './strategy.ts';

const strategies: ReadonlyMap<string, Strategy> = new Map(
  [consistentHash, roundRobin, leastLoaded].map((strategy) => [strategy.name, strategy]),
);

const strategyNames: readonly string[] = [...strategies.keys()];

export const isStrategy = (name: string): boolean => strategies.has(name);

/** A strategy that is not registered. @remedy use a strategy that the message names. */
export class UnknownStrategyError extends Error {
  readonly code = 'SC_UNKNOWN_STRATEGY';
  override readonly name = 'UnknownStrategyError';
}

export const unknownStrategyText = (name: string): string =>
  `spec.loadBalanceStrategy "${name}" is unknown; use one of ${strategyNames.join(', ')}`;

/** @throws UnknownStrategyError naming the strategies that exist. */
export function strategyNamed(name: string): Strategy {
  const strategy = strategies.get(name);
  if (strategy === undefined) throw new UnknownStrategyError(unknownStrategyText(name));
  return strategy;
}
