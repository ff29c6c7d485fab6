export type { FeedContext, FeedSlots } from './context.ts';
export type { DataPlaneMetrics } from './data-plane-metrics.ts';
export { crdSlots } from './crd-slots.ts';
export { Feed } from './feed.ts';
export type { FeedUse } from './feed-use.ts';
export { Restores } from './restores.ts';
