import type { ObjectKind } from '../wire/index.ts';
import { readBody } from './answer-body.ts';
import { failureOf, UnknownKindFailure, UpstreamFailure } from './upstream-failure.ts';
import type { Upstream } from './upstream.ts';

/** Kinds by resource, from discovery: synthetic events have to name the kind of the objects that they stand for. */
export class KindCatalog {
  readonly #upstream: Upstream;
  readonly #known = new Map<string, { readonly kind: string; readonly verbs: readonly string[] }>();

  constructor(upstream: Upstream) {
    this.#upstream = upstream;
  }

  /** Throws UpstreamFailure (404) when the server has no such resource. */
  async find(group: string, version: string, resource: string, signal: AbortSignal): Promise<ObjectKind> {
    const { apiVersion, kind } = await this.#find(group, version, resource, signal);
    return { apiVersion, kind };
  }

  /** Whether the resource can be watched: some aggregated APIs compute their objects when they are asked. */
  async canWatch(group: string, version: string, resource: string, signal: AbortSignal): Promise<boolean> {
    return (await this.#find(group, version, resource, signal)).verbs.includes('watch');
  }

  /** Asks again the next time: a CRD may be deleted and re-created for another kind. */
  forget(group: string, version: string, resource: string): void {
    this.#known.delete(`${apiVersionOf(group, version)}/${resource}`);
  }

  async #find(
    group: string,
    version: string,
    resource: string,
    signal: AbortSignal,
  ): Promise<ObjectKind & { readonly verbs: readonly string[] }> {
    const apiVersion = apiVersionOf(group, version);
    const key = `${apiVersion}/${resource}`;
    if (!this.#known.has(key))
      await this.#discover(group === '' ? `/api/${version}` : `/apis/${apiVersion}`, apiVersion, signal);
    const found = this.#known.get(key);
    if (found !== undefined) return { apiVersion, ...found };
    const Failure = isBuiltIn(group) ? UnknownKindFailure : UpstreamFailure;
    throw new Failure(key, {
      code: 404,
      reason: 'NotFound',
      message: `the API server serves no resource ${resource} in ${apiVersion}`,
    });
  }

  async #discover(path: string, apiVersion: string, signal: AbortSignal): Promise<void> {
    const response = await this.#upstream.stream({
      path,
      headers: { accept: 'application/json', 'accept-encoding': 'identity' },
      signal,
      headersTimeoutMs: 10_000,
    });
    if (response.status !== 200) throw await failureOf(path, response);
    const parsed: unknown = JSON.parse((await readBody(response)).toString('utf8'));
    for (const { name, kind, verbs } of resourcesOf(parsed)) {
      if (!name.includes('/')) this.#known.set(`${apiVersion}/${name}`, { kind, verbs });
    }
  }
}

/** Groups that only kube-apiserver itself serves; those of CRDs have a dot, and `k8s.io` is theirs, too. */
const OWN_GROUPS = new Set([
  'admissionregistration.k8s.io',
  'certificates.k8s.io',
  'coordination.k8s.io',
  'discovery.k8s.io',
  'networking.k8s.io',
  'rbac.authorization.k8s.io',
  'resource.k8s.io',
  'scheduling.k8s.io',
  'storage.k8s.io',
]);

const isBuiltIn = (group: string): boolean => !group.includes('.') || OWN_GROUPS.has(group);

const apiVersionOf = (group: string, version: string): string => (group === '' ? version : `${group}/${version}`);

interface DiscoveredResource {
  readonly name: string;
  readonly kind: string;
  readonly verbs: readonly string[];
}

function resourcesOf(list: unknown): DiscoveredResource[] {
  if (typeof list !== 'object' || list === null || !('resources' in list) || !Array.isArray(list.resources)) return [];
  return list.resources.flatMap((resource: unknown) => {
    if (typeof resource !== 'object' || resource === null) return [];
    if (!('name' in resource) || typeof resource.name !== 'string') return [];
    if (!('kind' in resource) || typeof resource.kind !== 'string') return [];
    const verbs = 'verbs' in resource && Array.isArray(resource.verbs) ? resource.verbs.map(String) : [];
    return [{ name: resource.name, kind: resource.kind, verbs }];
  });
}
