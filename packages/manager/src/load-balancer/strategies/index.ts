export { consistentHash } from './consistent-hash.ts';
export { leastLoaded } from './least-loaded.ts';
export { isStrategy, strategyNamed, unknownStrategyText } from './registry.ts';
export { roundRobin } from './round-robin.ts';
export { byShardId, type PlanTarget, type Receiver, runsOf, type Strategy } from './strategy.ts';
