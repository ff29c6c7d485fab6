/**
 * Whether resourceVersion `a` is newer than `b`: decimal numbers of any length (KEP-5504). The hot path's form of
 * `compareResourceVersion`: no checks, because versions that are no numbers were refused when the feed opened.
 */
export function isNewer(a: string, b: string): boolean {
  return a.length === b.length ? a > b : a.length > b.length;
}

export function newerOf(a: string, b: string): string {
  return isNewer(a, b) ? a : b;
}

/** Newer than any resourceVersion. */
export const FAR_VERSION = '9'.repeat(40);
