import type { Upstream } from './data-plane.ts';
import { readBody } from './answer-body.ts';
import type { ObjectKind } from './frame-codec.ts';
import { failureOf, UpstreamFailure } from './upstream-failure.ts';

/** Kinds by resource, from discovery: synthetic events have to name the kind of the objects that they stand for. */
export class KindCatalog {
  readonly #upstream: Upstream;
  readonly #known = new Map<string, string>();

  constructor(upstream: Upstream) {
    this.#upstream = upstream;
  }

  /** Throws UpstreamFailure (404) when the server has no such resource. */
  async find(group: string, version: string, resource: string, signal: AbortSignal): Promise<ObjectKind> {
    const apiVersion = group === '' ? version : `${group}/${version}`;
    const key = `${apiVersion}/${resource}`;
    if (!this.#known.has(key))
      await this.#discover(group === '' ? `/api/${version}` : `/apis/${apiVersion}`, apiVersion, signal);
    const kind = this.#known.get(key);
    if (kind !== undefined) return { apiVersion, kind };
    throw new UpstreamFailure(key, {
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
    for (const { name, kind } of resourcesOf(parsed)) {
      if (!name.includes('/')) this.#known.set(`${apiVersion}/${name}`, kind);
    }
  }
}

function resourcesOf(list: unknown): { readonly name: string; readonly kind: string }[] {
  if (typeof list !== 'object' || list === null || !('resources' in list) || !Array.isArray(list.resources)) return [];
  return list.resources.flatMap((resource: unknown) => {
    if (typeof resource !== 'object' || resource === null) return [];
    if (!('name' in resource) || typeof resource.name !== 'string') return [];
    if (!('kind' in resource) || typeof resource.kind !== 'string') return [];
    return [{ name: resource.name, kind: resource.kind }];
  });
}
