import { KubernetesError } from './kubernetes-error.ts';

export interface KindLocation {
  readonly group: string;
  readonly version: string;
  /** Plural, as in paths. */
  readonly resource: string;
  readonly namespaced: boolean;
}

interface ResourceList {
  readonly resources?: readonly { readonly name: string; readonly kind: string; readonly namespaced: boolean }[];
}

type Fetch = (path: string, signal: AbortSignal | undefined) => Promise<ResourceList>;

/** Finds the plural of a kind by discovery, and remembers it; a kind that is not there is looked up again each time. */
export class KindDirectory {
  readonly #fetch: Fetch;
  readonly #known = new Map<string, KindLocation>();

  constructor(fetch: Fetch) {
    this.#fetch = fetch;
  }

  async find(apiVersion: string, kind: string, signal: AbortSignal | undefined): Promise<KindLocation> {
    const key = `${apiVersion}/${kind}`;
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    const [first = '', second] = apiVersion.split('/');
    const group = second === undefined ? '' : first;
    const version = second ?? first;
    const path = group === '' ? `/api/${version}` : `/apis/${group}/${version}`;
    const { resources } = await this.#fetch(path, signal);
    for (const resource of resources ?? []) {
      if (resource.name.includes('/')) continue;
      const location = { group, version, resource: resource.name, namespaced: resource.namespaced };
      this.#known.set(`${apiVersion}/${resource.kind}`, location);
    }
    const found = this.#known.get(key);
    if (found !== undefined) return found;
    throw new KubernetesError({
      code: 'SC_KUBERNETES_UNKNOWN_KIND',
      status: 404,
      reason: 'UnknownKind',
      method: 'GET',
      path,
      message: `the API server serves no kind ${kind} in ${apiVersion}. Remedy: install its CustomResourceDefinition, or correct apiVersion and kind`,
    });
  }
}
