import { type KubernetesClient, type KubernetesObject, resourcePath } from '@shard-controller/shared/kubernetes';
import type { DesiredStatefulSet } from '../decision/index.ts';
import { type ConfigIdentity, FIELD_MANAGER, REVISION_LABEL, statefulSetName } from '../naming/index.ts';
import { objectKey, type OwnedObjects } from './owned-objects.ts';
import { assertOwn } from './ownership.ts';
import { workerStatefulSet } from './stateful-set.ts';
import type { WorkerPodInput } from './worker-pod.ts';

/**
 * A StatefulSet has to be created, and no template for its pods is known.
 * @remedy correct the spec of the ShardConfig.
 */
class TemplateMissingError extends Error {
  readonly code = 'SC_TEMPLATE_MISSING';
  override readonly name = 'TemplateMissingError';
}

interface StatefulSetSeen extends KubernetesObject {
  readonly spec?: {
    readonly replicas?: number;
    readonly template?: { readonly metadata?: { readonly labels?: Readonly<Record<string, string>> } };
  };
  readonly status?: { readonly observedGeneration?: number };
}

const isObserved = ({ metadata, status }: StatefulSetSeen): boolean =>
  (status?.observedGeneration ?? 0) >= (metadata?.generation ?? 0);

export interface WorkerSetsOptions {
  readonly client: Pick<KubernetesClient, 'find' | 'patch'>;
  readonly leads: () => boolean;
  readonly config: ConfigIdentity;
  readonly objects: OwnedObjects;
}

/** The StatefulSets of one ShardConfig's workers, and whether their controller has seen what was written. */
export class WorkerSets {
  readonly #options: WorkerSetsOptions;
  /** StatefulSets whose controller has seen the applied template. */
  readonly #templateSeen = new Set<string>();

  constructor(options: WorkerSetsOptions) {
    this.#options = options;
  }

  /** Whether a pod that is deleted comes back with the wanted template. */
  hasTemplate(name: string): boolean {
    return this.#templateSeen.has(name);
  }

  /** Writes a StatefulSet; false until its controller has seen it. */
  async apply(object: KubernetesObject, signal: AbortSignal): Promise<boolean> {
    const { objects } = this.#options;
    const name = object.metadata?.name ?? '';
    const content = JSON.stringify(object);
    if (objects.isApplied(objectKey(object), content) && this.hasTemplate(name)) return true;
    const applied = await objects.write<StatefulSetSeen>(object, content, signal);
    this.#noteTemplate(name, applied, true);
    return isObserved(applied);
  }

  /**
   * Changes the number of pods and leaves the template as it is: the wanted one is not proved, or not known. The
   * StatefulSet itself is where the last good template is kept.
   * @param pods the wanted template; undefined when it is not known
   * @throws TemplateMissingError (SC_TEMPLATE_MISSING)
   */
  async scale(
    { replica, replicas }: DesiredStatefulSet,
    revision: string,
    pods: WorkerPodInput | undefined,
    signal: AbortSignal,
  ): Promise<boolean> {
    const { client, config, leads, objects } = this.#options;
    const name = statefulSetName(config.name, replica);
    const named = { kind: 'StatefulSet', metadata: { name } };
    const content = `${replicas} pods`;
    if (objects.isApplied(objectKey(named), content) && this.hasTemplate(name)) return true;
    const path = this.#path(name);
    const before = await client.find<StatefulSetSeen>(path, { signal });
    if (before === undefined) {
      // Then no worker runs that an unproved template could harm.
      if (pods !== undefined) return this.apply(workerStatefulSet(pods, replica, replicas), signal);
      throw new TemplateMissingError(`StatefulSet ${name} is gone, and without a valid spec it cannot be re-created`);
    }
    assertOwn(named, before.metadata, config);
    if (!leads()) return false;
    const patch = { metadata: { uid: before.metadata?.uid }, spec: { replicas } };
    const query = { fieldManager: FIELD_MANAGER };
    const isScaled = before.spec?.replicas === replicas;
    const after = isScaled ? before : await client.patch<StatefulSetSeen>(path, patch, { query, signal });
    objects.noteApplied(objectKey(named), content);
    this.#noteTemplate(name, after, after.spec?.template?.metadata?.labels?.[REVISION_LABEL] === revision);
    return isObserved(after);
  }

  async remove(name: string, signal: AbortSignal): Promise<boolean> {
    const { objects } = this.#options;
    return objects.deleteOwn(this.#path(name), signal);
  }

  #noteTemplate(name: string, seen: StatefulSetSeen, isWanted: boolean): void {
    if (isWanted && isObserved(seen)) this.#templateSeen.add(name);
    else this.#templateSeen.delete(name);
  }

  #path(name: string): string {
    const { namespace } = this.#options.config;
    return resourcePath({ group: 'apps', version: 'v1', resource: 'statefulsets', namespace, name });
  }
}
