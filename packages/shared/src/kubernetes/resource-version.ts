/** A resourceVersion that is no decimal number, so that nothing can be said about its order. */
export class ResourceVersionError extends Error {
  override readonly name = 'ResourceVersionError';
  readonly code = 'SC_RESOURCE_VERSION';
  readonly resourceVersion: string;

  constructor(resourceVersion: string) {
    super(
      `resourceVersion ${JSON.stringify(resourceVersion)} is not a decimal number; the server or an aggregated API behind it does not keep the order that Kubernetes documents, so its objects cannot be compared`,
    );
    this.resourceVersion = resourceVersion;
  }
}

const DECIMAL = /^\d+$/;

/**
 * Orders two resourceVersions of the same resource: negative, zero or positive. They are decimal numbers of any length
 * (KEP-5504), so they are compared as text and never as JavaScript numbers. Throws ResourceVersionError otherwise.
 */
export function compareResourceVersion(a: string, b: string): number {
  const left = significantDigits(a);
  const right = significantDigits(b);
  if (left.length !== right.length) return left.length - right.length;
  if (left === right) return 0;
  return left < right ? -1 : 1;
}

function significantDigits(resourceVersion: string): string {
  if (!DECIMAL.test(resourceVersion)) throw new ResourceVersionError(resourceVersion);
  return resourceVersion.replace(/^0+(?=\d)/, '');
}
