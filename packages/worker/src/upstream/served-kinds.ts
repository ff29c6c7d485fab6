import { DiscoveryCache, type ServedKind } from '@shard-controller/shared/kubernetes';
import type { ObjectKind } from '../wire/index.ts';
import { readBody } from './answer-body.ts';
import { failureOf, UnknownKindFailure, UpstreamFailure } from './upstream-failure.ts';
import type { Upstream } from './upstream.ts';

/** Kinds by resource, from discovery: synthetic events have to name the kind of the objects that they stand for. */
export class ServedKinds {
  readonly #cache: DiscoveryCache;

  constructor(upstream: Upstream) {
    this.#cache = new DiscoveryCache((path, signal) => readDiscovery(upstream, path, signal));
  }

  /** Throws UpstreamFailure (404) when the server has no such resource. */
  async find(group: string, version: string, resource: string, signal: AbortSignal): Promise<ObjectKind> {
    const { kind } = await this.#find(group, version, resource, signal);
    return { apiVersion: apiVersionOf(group, version), kind };
  }

  /** Whether the resource can be watched: some aggregated APIs compute their objects when they are asked. */
  async canWatch(group: string, version: string, resource: string, signal: AbortSignal): Promise<boolean> {
    return (await this.#find(group, version, resource, signal)).verbs.includes('watch');
  }

  /** Asks again the next time: a CRD may be deleted and re-created for another kind. */
  forget(group: string, version: string, resource: string): void {
    this.#cache.forget(apiVersionOf(group, version), resource);
  }

  async #find(group: string, version: string, resource: string, signal: AbortSignal): Promise<ServedKind> {
    const apiVersion = apiVersionOf(group, version);
    const found = await this.#cache.resource(apiVersion, resource, signal);
    if (found !== undefined) return found;
    const Failure = isBuiltIn(group) ? UnknownKindFailure : UpstreamFailure;
    throw new Failure(`${apiVersion}/${resource}`, {
      code: 404,
      reason: 'NotFound',
      message: `the API server serves no resource ${resource} in ${apiVersion}`,
    });
  }
}

async function readDiscovery(upstream: Upstream, path: string, signal: AbortSignal | undefined): Promise<unknown> {
  const response = await upstream.stream({
    path,
    headers: { accept: 'application/json', 'accept-encoding': 'identity' },
    signal,
    headersTimeoutMs: 10_000,
  });
  if (response.status !== 200) throw await failureOf(path, response);
  return JSON.parse((await readBody(response)).toString('utf8'));
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
