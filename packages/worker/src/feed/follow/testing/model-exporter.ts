import type { Subscription } from '../../books/subscription.ts';
import type { WatchPeer } from '../../books/testing/watch-peer.ts';

/** One exporter: what it holds, and how it comes back. */
export interface ModelExporter {
  readonly peer: WatchPeer;
  subscription: Subscription | undefined;
  /** It stays away for so many turns more. */
  awayFor: number;
  /** It holds nothing, or has been told that its resourceVersion is too old. */
  hasToList: boolean;
}

/**
 * Whether an exporter holds more than it says, and the worker that knows is gone: it died in the moment between a load
 * and the events that the watch has of the same. If the API server goes back just then, no component can find out.
 */
export function isAheadOfItself({ peer, subscription, hasToList }: ModelExporter): boolean {
  return subscription === undefined && !hasToList && holdsMoreThanItSays(peer);
}

export function holdsMoreThanItSays({ store, resumeVersion }: WatchPeer): boolean {
  return [...store.values()].some((version) => Number(version) > Number(resumeVersion));
}
