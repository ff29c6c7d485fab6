export { FeedFreshness } from './freshness.ts';
export type { Outage } from './outage.ts';
export { FeedTrouble, STEADY_MS, type Trouble, type TroubleNature } from './trouble.ts';
