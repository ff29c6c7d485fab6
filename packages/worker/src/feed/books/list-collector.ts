import type { ResourceVersion } from '@shard-controller/shared/kubernetes';
import type { Pruner } from '../../pruning/index.ts';
import type { FrameView, ObjectIdentity } from '../../wire/index.ts';
import type { ObjectSink } from './object-sink.ts';

/** Collects objects for the body of one list. */
export class ListCollector implements ObjectSink {
  readonly #pruner: Pruner | undefined;
  readonly #done: (objects: readonly Buffer[], version: ResourceVersion) => void;
  readonly #objects = new Map<string, Buffer>();

  /** @param done is given the objects once there are no more to come. */
  constructor(pruner: Pruner | undefined, done: (objects: readonly Buffer[], version: ResourceVersion) => void) {
    this.#pruner = pruner;
    this.#done = done;
  }

  upsert(uid: string, view: FrameView): void {
    const whole = (): Buffer => Buffer.from(view.bytes.subarray(view.objectStart, view.objectEnd));
    this.#objects.set(uid, this.#pruner?.object(view) ?? whole());
  }

  remove(uid: string): void {
    this.#objects.delete(uid);
  }

  delete({ uid }: ObjectIdentity): void {
    this.#objects.delete(uid);
  }

  /** A list says at its end what it is as of. */
  bookmark(): void {}

  finish(version: ResourceVersion): void {
    this.#done([...this.#objects.values()], version);
  }
}
