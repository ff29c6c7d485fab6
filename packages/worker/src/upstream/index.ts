export { readBody } from './answer-body.ts';
export {
  type ApiTarget,
  type CollectionAddress,
  feedId,
  type FeedKey,
  feedKeyOf,
  feedName,
  parseApiPath,
  resourceName,
  selectionOf,
} from './collection-key.ts';
export { type CollectionPosition, CollectionReader } from './collection-reader.ts';
export { causeOf, codeOf, pauseAfter, upstreamBackoff } from './failure-cause.ts';
export { KindCatalog } from './kind-catalog.ts';
export { delayedUpstream } from './delayed-upstream.ts';
export { type ForwardedRequest, forward, forwardAnswer, sendUnreachable } from './forwarding.ts';
export { plainUpstream } from './plain-upstream.ts';
export type { Selection } from './selection.ts';
export { type AnswerTimes, TimedUpstream } from './timed-upstream.ts';
export { failureOf, headerOf, UnknownKindFailure, UpstreamFailure } from './upstream-failure.ts';
export type { Upstream } from './upstream.ts';
export { Wakeup } from './wakeup.ts';
