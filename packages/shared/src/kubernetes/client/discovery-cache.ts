import { isRecord } from '../../runtime/index.ts';

/** A kind that the API server serves. */
export interface ServedKind {
  readonly group: string;
  readonly version: string;
  /** Plural, as in paths. */
  readonly resource: string;
  readonly kind: string;
  readonly namespaced: boolean;
  readonly verbs: readonly string[];
}

type Fetch = (path: string, signal: AbortSignal | undefined) => Promise<unknown>;

/**
 * The kinds of the API server by name and by plural, from discovery. What was found is remembered; what is not there is
 * looked up again each time.
 */
export class DiscoveryCache {
  readonly #fetch: Fetch;
  readonly #byKind = new Map<string, ServedKind>();
  readonly #byResource = new Map<string, ServedKind>();

  /** @param fetch reads one document of discovery; what it throws, a look-up throws. */
  constructor(fetch: Fetch) {
    this.#fetch = fetch;
  }

  async kind(apiVersion: string, kind: string, signal: AbortSignal | undefined): Promise<ServedKind | undefined> {
    return this.#find(this.#byKind, apiVersion, kind, signal);
  }

  async resource(apiVersion: string, resource: string, signal: AbortSignal): Promise<ServedKind | undefined> {
    return this.#find(this.#byResource, apiVersion, resource, signal);
  }

  /** Asks again the next time: a CRD may be deleted and re-created for another kind. */
  forget(apiVersion: string, resource: string): void {
    const known = this.#byResource.get(`${apiVersion}/${resource}`);
    this.#byResource.delete(`${apiVersion}/${resource}`);
    if (known !== undefined) this.#byKind.delete(`${apiVersion}/${known.kind}`);
  }

  async #find(
    known: ReadonlyMap<string, ServedKind>,
    apiVersion: string,
    name: string,
    signal: AbortSignal | undefined,
  ): Promise<ServedKind | undefined> {
    const key = `${apiVersion}/${name}`;
    if (!known.has(key)) await this.#discover(apiVersion, signal);
    return known.get(key);
  }

  async #discover(apiVersion: string, signal: AbortSignal | undefined): Promise<void> {
    for (const served of servedKinds(apiVersion, await this.#fetch(discoveryPath(apiVersion), signal))) {
      this.#byKind.set(`${apiVersion}/${served.kind}`, served);
      this.#byResource.set(`${apiVersion}/${served.resource}`, served);
    }
  }
}

/** Where the API server lists the kinds of an apiVersion. */
export function discoveryPath(apiVersion: string): string {
  return apiVersion.includes('/') ? `/apis/${apiVersion}` : `/api/${apiVersion}`;
}

function servedKinds(apiVersion: string, list: unknown): ServedKind[] {
  const [first = '', second] = apiVersion.split('/');
  const group = second === undefined ? '' : first;
  const version = second ?? first;
  const resources: readonly unknown[] = isRecord(list) && Array.isArray(list['resources']) ? list['resources'] : [];
  return resources.flatMap((each) => {
    if (!isRecord(each)) return [];
    const { name, kind, namespaced, verbs } = each;
    // A name with a slash is a subresource.
    if (typeof name !== 'string' || typeof kind !== 'string' || name.includes('/')) return [];
    const allowed = Array.isArray(verbs) ? verbs.map(String) : [];
    return [{ group, version, resource: name, kind, namespaced: namespaced === true, verbs: allowed }];
  });
}
