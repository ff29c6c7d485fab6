import {
  GROUP,
  SHARD_INSTANCE_PLURAL,
  type ShardInstance,
  shardInstanceName,
  VERSION,
} from '@shard-controller/shared/api';
import type { Assignment } from '@shard-controller/shared/contracts';
import { KubernetesError, resourcePath } from '@shard-controller/shared/kubernetes';
import type { ConfigIdentity } from '../naming/index.ts';
import type { AssignmentPublisher } from './assignments.ts';
import type { OwnedObjects } from './owned-objects.ts';
import { belonging, ForeignObjectError } from './ownership.ts';
import { needsWrite, shardInstanceOf } from './shard-instance.ts';

/**
 * - done: its worker can read the assignment.
 * - later: something is in the way that goes by itself.
 * - superseded: the ShardInstance holds a newer assignment.
 */
type AssignmentOutcome = 'done' | 'later' | 'superseded';

/** Gives the shards of one ShardConfig their assignments, in their ShardInstances and on NATS. */
export class InstanceWriter {
  readonly #config: ConfigIdentity;
  readonly #objects: OwnedObjects;
  readonly #publisher: Pick<AssignmentPublisher, 'publish' | 'remove'>;
  /** ShardInstances that were seen since they were written: one that is missing then was deleted. */
  readonly #seen = new Set<string>();

  constructor(
    config: ConfigIdentity,
    objects: OwnedObjects,
    publisher: Pick<AssignmentPublisher, 'publish' | 'remove'>,
  ) {
    this.#config = config;
    this.#objects = objects;
    this.#publisher = publisher;
  }

  /**
   * The ShardInstance first, then NATS: a worker that hears of an assignment can always read it again.
   * @throws ForeignObjectError, PredecessorObjectError, KubernetesError, NatsUnavailableError, StreamMissingError
   */
  async assign(
    assignment: Assignment,
    existing: ShardInstance | undefined,
    signal: AbortSignal,
  ): Promise<AssignmentOutcome> {
    if (existing !== undefined && existing.spec.shardConfigRef.uid !== assignment.shardConfig.uid) {
      if (belonging(existing.metadata, this.#config) === 'foreign') {
        throw new ForeignObjectError(existing, this.#config);
      }
      // Left by a ShardConfig of the same name; its owner reference will take it, too, but later.
      await this.#delete(existing, signal);
      return 'later';
    }
    const key = `ShardInstance/${shardInstanceName(assignment.shardConfig.name, assignment.shardId)}`;
    if (existing !== undefined) {
      // It names this very ShardConfig.
      this.#objects.noteOwn(key, existing.metadata.uid);
      this.#seen.add(key);
    } else if (this.#seen.delete(key)) {
      this.#objects.noteGone(key);
    }
    const content = JSON.stringify(assignment);
    if (needsWrite(existing, assignment) && !this.#objects.isApplied(key, content)) {
      try {
        await this.#objects.write(shardInstanceOf(assignment), content, signal);
      } catch (error) {
        if (isRefusedAsOlder(error)) return 'superseded';
        throw error;
      }
    }
    const publication = await this.#publisher.publish(assignment);
    if (publication === 'newer') return 'superseded';
    return publication === 'failed' ? 'later' : 'done';
  }

  /** Removes the assignment of a shard that no longer exists, unless another ShardConfig owns it. */
  async remove(instance: ShardInstance, signal: AbortSignal): Promise<boolean> {
    const { metadata, spec } = instance;
    const isOwn = spec.shardConfigRef.uid === this.#config.uid;
    if (!isOwn && belonging(metadata, this.#config) === 'foreign') return true;
    await this.#delete(instance, signal);
    await this.#publisher.remove(this.#config, spec.shardId);
    this.#objects.forget(`ShardInstance/${metadata.name}`);
    return true;
  }

  async #delete({ metadata }: ShardInstance, signal: AbortSignal): Promise<void> {
    const { namespace, name, uid } = metadata;
    const path = resourcePath({ group: GROUP, version: VERSION, resource: SHARD_INSTANCE_PLURAL, namespace, name });
    await this.#objects.delete(path, uid, signal);
  }
}

/** The CEL rule of the CRD lets generation and epoch only grow. */
const isRefusedAsOlder = (error: unknown): boolean =>
  error instanceof KubernetesError && error.status === 422 && /generation and epoch/.test(error.message);
