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
export { causeOf, pauseAfter, upstreamBackoff } from './failure-cause.ts';
export { ServedKinds } from './served-kinds.ts';
export { delayedUpstream } from './delayed-upstream.ts';
export { type ForwardedRequest, forward, forwardAnswer, sendUnreachable } from './forwarding.ts';
export { plainUpstream } from './plain-upstream.ts';
export type { Selection } from './selection.ts';
export { type AnswerTimes, TimedUpstream } from './timed-upstream.ts';
export { failureOf, headerOf, UnknownKindFailure, UpstreamFailure } from './upstream-failure.ts';
export type { Upstream } from './upstream.ts';
