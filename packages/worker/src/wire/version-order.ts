import type { ResourceVersion } from '@shard-controller/shared/kubernetes';
/**
 * Whether resourceVersion `a` is newer than `b`: decimal numbers of any length (KEP-5504). The hot path's form of
 * `compareResourceVersion`: no checks, because versions that are no numbers were refused when the feed opened.
 */
export function isNewer(a: ResourceVersion, b: ResourceVersion): boolean {
  return a.length === b.length ? a > b : a.length > b.length;
}

export function newerOf(a: ResourceVersion, b: ResourceVersion): ResourceVersion {
  return isNewer(a, b) ? a : b;
}

/** Whether a text is the resourceVersion of a state, which has an order: no leading zero, and not 0 (KEP-5504). */
export function isWellFormedVersion(text: ResourceVersion): boolean {
  return /^[1-9][0-9]*$/.test(text);
}

/** Whether the answer to a consistent read proves that the API server was restored; versions without an order say nothing. */
export function isBehind(answer: ResourceVersion, seen: ResourceVersion): boolean {
  return isWellFormedVersion(answer) && isNewer(seen, answer);
}

/** Newer than any resourceVersion. */
export const MAX_RESOURCE_VERSION: ResourceVersion = '9'.repeat(40);

/** Older than any resourceVersion. */
export const MIN_RESOURCE_VERSION: ResourceVersion = '0';
