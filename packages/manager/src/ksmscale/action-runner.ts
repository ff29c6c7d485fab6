import {
  isConflict,
  isNotFound,
  type KubernetesClient,
  type KubernetesObject,
  resourcePath,
} from '@shard-controller/shared/kubernetes';
import type { Action, ObservedObject, PodManifest } from './planning/index.ts';

/** Writes of KSMScales; never fights another writer's fields. */
const FIELD_MANAGER = 'shard-controller-ksmscale';

export interface ActionRunnerOptions {
  readonly client: KubernetesClient;
  /** Whether this process still leads: asked before anything is sent. */
  readonly maySend: () => boolean;
  /** The API server has made this pod; the watch may show it only later. */
  readonly created: (pod: Readonly<Record<string, unknown>>) => void;
}

const podPath = (namespace: string, name?: string): string =>
  resourcePath({ group: '', version: 'v1', resource: 'pods', namespace, name });

const objectPath = ({ kind, namespace, name }: Pick<ObservedObject, 'kind' | 'namespace' | 'name'>): string =>
  kind === 'Service'
    ? resourcePath({ group: '', version: 'v1', resource: 'services', namespace, name })
    : resourcePath({ group: 'policy', version: 'v1', resource: 'poddisruptionbudgets', namespace, name });

/** Does what a plan says. Each action is idempotent: what is done already is no error. */
export class ActionRunner {
  readonly #options: ActionRunnerOptions;

  constructor(options: ActionRunnerOptions) {
    this.#options = options;
  }

  /** Every action is tried; resolves with what failed. Creations do not wait for each other. */
  async run(scale: string, actions: readonly Action[], signal: AbortSignal): Promise<readonly string[]> {
    const results = await Promise.allSettled(actions.map((action) => this.#do(scale, action, signal)));
    return results.flatMap((result) => (result.status === 'rejected' ? [messageOf(result.reason)] : []));
  }

  async #do(scale: string, action: Action, signal: AbortSignal): Promise<void> {
    const { client, maySend } = this.#options;
    const call = { signal, maySend };
    switch (action.type) {
      case 'CreatePod':
        return this.#createPod(action.pod, signal);
      case 'DeletePod': {
        const { namespace, name, uid } = action.pod;
        const force = action.reason === 'Stuck' ? { gracePeriodSeconds: 0 } : {};
        return ignoringGone(client.delete(podPath(namespace, name), { ...call, ...force, preconditions: { uid } }));
      }
      case 'ApplyObject': {
        const { kind, metadata } = action.object;
        return this.#apply(objectPath({ kind, ...metadata }), action.object, fieldManagerOf(scale, kind), signal);
      }
      case 'DeleteObject': {
        const { uid, resourceVersion } = action.object;
        const preconditions = { uid, resourceVersion };
        return ignoringGone(client.delete(objectPath(action.object), { ...call, preconditions }));
      }
      case 'ReleaseObject': {
        const { kind, namespace, name } = action.object;
        const apiVersion = kind === 'Service' ? 'v1' : 'policy/v1';
        // Applying nothing gives up what this KSMScale had applied: its part of the owners.
        const object = { apiVersion, kind, metadata: { namespace, name } };
        return this.#apply(objectPath(action.object), object, fieldManagerOf(scale, kind), signal);
      }
    }
  }

  async #apply(path: string, object: KubernetesObject, fieldManager: string, signal: AbortSignal): Promise<void> {
    const { client, maySend } = this.#options;
    const query = { fieldManager, force: true };
    await client.patch(path, object, { query, signal, maySend, contentType: 'application/apply-patch+yaml' });
  }

  async #createPod(pod: PodManifest, signal: AbortSignal): Promise<void> {
    const { client, maySend, created } = this.#options;
    const { name, namespace, ownerReferences } = pod.metadata;
    try {
      created(await client.create<Readonly<Record<string, unknown>>>(podPath(namespace), pod, { signal, maySend }));
    } catch (error) {
      if (!isConflict(error)) throw error;
      const existing = await client.find<KubernetesObject>(podPath(namespace, name), { signal });
      const owner = existing?.metadata?.ownerReferences?.find(({ controller }) => controller === true);
      if (existing === undefined || owner?.uid === ownerReferences[0]?.uid) return;
      throw new PodNameTakenError(namespace, name, error);
    }
  }
}

/**
 * A pod that is not of this KSMScale has a name that the KSMScale needs.
 *
 * @remedy delete that pod, or give the KSMScale another name
 */
class PodNameTakenError extends Error {
  override readonly name = 'PodNameTakenError';
  readonly code = 'SC_POD_NAME_TAKEN';
  constructor(namespace: string, pod: string, cause: unknown) {
    super(`pod ${namespace}/${pod} is not ours. Remedy: delete it, or give the KSMScale another name`, { cause });
  }
}

/** Every KSMScale applies what several own under a name of its own, so that each is one of the owners. */
const fieldManagerOf = (scale: string, kind: ObservedObject['kind']): string =>
  kind === 'Service' ? `${FIELD_MANAGER}-${scale}` : FIELD_MANAGER;

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** Gone, or another one by now. */
async function ignoringGone(deletion: Promise<void>): Promise<void> {
  try {
    await deletion;
  } catch (error) {
    if (!isNotFound(error) && !isConflict(error)) throw error;
  }
}
