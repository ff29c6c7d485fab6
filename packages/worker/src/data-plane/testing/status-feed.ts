import { SlotState } from '../../feed/books/subscription.ts';
import type { StatusFeed } from '../feeds-status.ts';

export const NOW = 100_000;
export const SLOTS = 4;

export type Watch = NonNullable<StatusFeed['state']>['subscriptions'][number];

export function watch(over: Partial<Watch> & { readonly states?: readonly number[] } = {}): Watch {
  const { states = Array<number>(SLOTS).fill(SlotState.Shown), ...rest } = over;
  return {
    id: 1,
    slots: Uint8Array.from(states),
    attached: true,
    attachedAt: 0,
    initialPending: false,
    resumed: false,
    queuedFrames: 0,
    collecting: false,
    ...rest,
  };
}

export interface FeedOver extends Partial<Omit<StatusFeed, 'state' | 'proofAt' | 'use'> & StatusFeed['use']> {
  /** Undefined: not open. */
  readonly watches?: readonly Watch[] | undefined;
  readonly filled?: boolean;
  readonly sentPerSlot?: readonly number[];
  readonly provenAt?: number;
  readonly everSubscribed?: boolean;
  readonly notifiedAt?: number;
}

export function feed(over: FeedOver = {}): StatusFeed {
  const {
    filled = true,
    sentPerSlot = [1, 2, 0, 0],
    provenAt = NOW - 10,
    everSubscribed = true,
    notifiedAt,
    startedAt = 0,
    startedBeforeAt = -Infinity,
    leftAt = -Infinity,
    ...rest
  } = over;
  const watches = 'watches' in over ? over.watches : [watch()];
  const sentCount = sentPerSlot.reduce((sum, count) => sum + count, 0);
  return {
    name: '/api/v1/pods',
    resource: 'pods',
    isQuiet: false,
    isResumed: false,
    initialSyncComplete: true,
    createdAt: 0,
    use: { startedAt, startedBeforeAt, leftAt },
    problem: undefined,
    outage: undefined,
    refusal: undefined,
    proofAt: (probedAt) => Math.max(provenAt, probedAt),
    state:
      watches === undefined
        ? undefined
        : {
            filled,
            everSubscribed,
            notifiedAt,
            subscriptions: watches,
            index: { sentCount, sentInSlot: (slot) => sentPerSlot[slot] ?? 0 },
          },
    ...rest,
  };
}
