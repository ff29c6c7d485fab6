export { CountError } from './count-error.ts';
export {
  applyFetched,
  compareWithList,
  completeRelist,
  type ListedObject,
  resumeExporter,
  followRestore,
} from './difference.ts';
export { applyEvent } from './events.ts';
export { abandonLoad, beginLoad, completeLoad, type LoadCoverage, offerItem } from './load.ts';
export { type IndexEntry, ObjectIndex } from './object-index.ts';
export { FeedScope, loadingSlots, neededSlots, type SlotSet } from './scope.ts';
export type { SlotDigest } from './slot-digest.ts';
export {
  awaitsDeletions,
  completeEmpty,
  lateUntil,
  letGo,
  letGoUnasked,
  narrowScope,
  reconcileSlots,
  widenScope,
} from './slots.ts';
export { FeedState } from './state.ts';
export type { FilterDecision } from './state-options.ts';
export { SlotState, Subscription } from './subscription.ts';
