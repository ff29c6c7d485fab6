import {
  isConflict,
  isNotFound,
  type KubernetesClient,
  type KubernetesObject,
} from '@shard-controller/shared/kubernetes';
import { type ConfigIdentity, FIELD_MANAGER } from '../naming/index.ts';
import { assertOwn, belonging } from './ownership.ts';

export interface OwnedObjectsOptions {
  readonly client: Pick<KubernetesClient, 'apply' | 'delete' | 'find' | 'pathOf'>;
  /**
   * Whether this manager leads at the moment of the call. StatefulSets, pods and deletions have no epoch that would fence a
   * former leader that comes to itself late.
   */
  readonly leads: () => boolean;
  readonly config: ConfigIdentity;
}

/** Key of an object in `OwnedObjects`. */
export const objectKey = ({ kind, metadata }: KubernetesObject): string => `${kind}/${metadata?.name}`;

/** The objects of one ShardConfig: written and deleted only where they are its own, and written only when they change. */
export class OwnedObjects {
  readonly #options: OwnedObjectsOptions;
  /** What was applied last, by object. */
  readonly #applied = new Map<string, string>();
  /** On every object, besides its own. */
  #labels: Readonly<Record<string, string>> = {};
  /** uid of each object that is known to be the ShardConfig's own: nothing else is written. */
  readonly #own = new Map<string, string>();

  constructor(options: OwnedObjectsOptions) {
    this.#options = options;
  }

  isApplied(key: string, content: string): boolean {
    return this.#applied.get(key) === content;
  }

  noteApplied(key: string, content: string): void {
    this.#applied.set(key, content);
  }

  /** The object is written at the next occasion even when it did not change. */
  forget(key: string): void {
    this.#applied.delete(key);
  }

  /** All objects are compared with the cluster again. */
  forgetAll(): void {
    this.#applied.clear();
  }

  /** Labels for every object from now on; where they have changed, all are written again. */
  setLabels(labels: Readonly<Record<string, string>>): void {
    if (JSON.stringify(labels) !== JSON.stringify(this.#labels)) this.forgetAll();
    this.#labels = labels;
  }

  /** The object was seen and names this ShardConfig as its own. */
  noteOwn(key: string, uid: string): void {
    this.#own.set(key, uid);
  }

  /** The object was deleted: the next one of its name may have another owner. */
  noteGone(key: string): void {
    this.#own.delete(key);
    this.#applied.delete(key);
  }

  /** Writes an object unless it was written with this content. @throws as `write` */
  async apply(object: KubernetesObject, signal: AbortSignal): Promise<boolean> {
    const content = JSON.stringify(object);
    if (!this.isApplied(objectKey(object), content)) await this.write(object, content, signal);
    return true;
  }

  /**
   * Applies an object that is the ShardConfig's own, or makes it. By force only what is known to be its own: an apply by
   * name would take over whatever stands there, and the garbage collector would delete it with the ShardConfig.
   * @param content under which it counts as applied
   * @throws ForeignObjectError, PredecessorObjectError
   */
  async write<T extends KubernetesObject>(object: KubernetesObject, content: string, signal: AbortSignal): Promise<T> {
    const { client, leads: maySend } = this.#options;
    const key = objectKey(object);
    const uid = this.#own.get(key) ?? (await this.#ownUid(object, signal));
    const labels = { ...this.#labels, ...object.metadata?.labels };
    const metadata = { ...object.metadata, labels, ...(uid === undefined ? {} : { uid }) };
    try {
      const force = uid !== undefined;
      const written = await client.apply<T>({
        object: { ...object, metadata },
        fieldManager: FIELD_MANAGER,
        force,
        signal,
        maySend,
      });
      const now = written.metadata?.uid;
      if (now !== undefined) this.#own.set(key, now);
      this.#applied.set(key, content);
      return written;
    } catch (error) {
      // It was deleted, or another one has come: look again.
      if (isConflict(error)) this.#own.delete(key);
      throw error;
    }
  }

  /** Deletes an object unless it has another owner. */
  async deleteOwn(path: string, signal: AbortSignal): Promise<boolean> {
    const { client, config } = this.#options;
    const present = await client.find<KubernetesObject>(path, { signal });
    if (present === undefined || belonging(present.metadata, config) === 'foreign') return true;
    return this.delete(path, present.metadata?.uid, signal);
  }

  /** Deletes the object with this uid; one that is gone is no failure. */
  async delete(path: string, uid: string | undefined, signal: AbortSignal): Promise<boolean> {
    const { client, leads: maySend } = this.#options;
    const preconditions = uid === undefined ? {} : { uid };
    try {
      await client.delete(path, { preconditions, signal, maySend });
    } catch (error) {
      if (!isNotFound(error)) throw error;
    }
    return true;
  }

  /** uid of the object that stands under this name, undefined for none. @throws when it has another owner */
  async #ownUid(object: KubernetesObject, signal: AbortSignal): Promise<string | undefined> {
    const { client, config } = this.#options;
    const present = await client.find<KubernetesObject>(await client.pathOf(object, undefined, signal), { signal });
    if (present === undefined) return undefined;
    assertOwn(object, present.metadata, config);
    return present.metadata?.uid;
  }
}
