import { MAX_RESOURCE_VERSION, isNewer } from '../../../wire/version-order.ts';
import type { FeedState } from '../state.ts';
import { SlotState, type Subscription } from '../subscription.ts';

/** Marks that can be asked for one by one; tests open no more subscriptions. */
const MARKS = 30;

/** Which of the invariants of `state.ts` do not hold, and for what; I7 is for those who know the cluster. */
export function brokenFeedInvariants(state: FeedState): string[] {
  return [
    ...brokenVersions(state),
    ...brokenIndex(state),
    ...state.subscriptions.flatMap((each) => brokenSent(state, each)),
  ];
}

function brokenVersions({ position, highWatermark, knownFrom, filled }: FeedState): string[] {
  const broken: string[] = [];
  if (isNewer(position, highWatermark))
    broken.push(`I1: position ${position} is newer than highWatermark ${highWatermark}`);
  if (filled === (knownFrom === MAX_RESOURCE_VERSION)) broken.push(`I6: filled ${filled}, known from ${knownFrom}`);
  return broken;
}

function brokenIndex({ index, scope, subscriptions }: FeedState): string[] {
  const open = new Set(subscriptions.map(({ mark }) => mark));
  const broken = open.size === subscriptions.length ? [] : ['I3: two subscriptions have one mark'];
  for (const [uid, entry] of index.entries()) {
    if (!scope.has(entry.slot)) broken.push(`I2: ${uid} of slot ${entry.slot} is out of scope`);
    for (let mark = 0; mark < MARKS; mark++) {
      if (!open.has(mark) && index.isSent(entry, mark)) broken.push(`I3: ${uid} has mark ${mark} of nobody`);
    }
  }
  return broken;
}

function brokenSent(state: FeedState, subscription: Subscription): string[] {
  const broken: string[] = [];
  const isThrough = !isNewer(state.digestFloor, state.position);
  for (const [uid, entry] of state.index.entries()) {
    const at = subscription.slots[entry.slot] ?? SlotState.Hidden;
    const isSent = state.index.isSent(entry, subscription.mark);
    if (isSent && at < SlotState.Loading && !subscription.late.has(entry.slot))
      broken.push(`I4: ${uid} is sent, its slot at ${at}`);
    if (isThrough && !isSent && at >= SlotState.Sent) broken.push(`I5: ${uid} is not sent, its slot at ${at}`);
  }
  return broken;
}
