/** Names a state of a collection. Any text passes for one, but no other text that has a name of its own (`ShardId`). */
export type ResourceVersion = string & { readonly is?: 'resourceVersion' };

/**
 * A resourceVersion that is no decimal number, so that nothing can be said about its order.
 * @remedy check what stands between this process and the API server.
 */
export class ResourceVersionError extends Error {
  override readonly name = 'ResourceVersionError';
  readonly code = 'SC_RESOURCE_VERSION';
  readonly resourceVersion: ResourceVersion;

  constructor(resourceVersion: ResourceVersion) {
    super(
      `resourceVersion ${JSON.stringify(resourceVersion)} is not a positive decimal number; the server or an aggregated API behind it does not keep the order that Kubernetes documents, so its objects cannot be compared`,
    );
    this.resourceVersion = resourceVersion;
  }
}

/** No sign, no leading zero; `0` is no state's version but a way to ask for any. */
const WELL_FORMED = /^[1-9]\d*$/;

/**
 * Orders two resourceVersions of the same resource: negative, zero or positive. They are decimal numbers of any length
 * (KEP-5504; apimachinery util/resourceversion), so they are compared as text and never as JavaScript numbers. Throws
 * ResourceVersionError otherwise.
 */
export function compareResourceVersion(a: ResourceVersion, b: ResourceVersion): number {
  for (const version of [a, b]) if (!WELL_FORMED.test(version)) throw new ResourceVersionError(version);
  if (a.length !== b.length) return a.length - b.length;
  if (a === b) return 0;
  return a < b ? -1 : 1;
}
