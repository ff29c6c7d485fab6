import type { ResourceVersion } from '@shard-controller/shared/kubernetes';
import type { FrameView, ObjectIdentity } from '../../wire/index.ts';

/** Where the objects of a subscription go: into events of its watch, or into the items of one list. */
export interface ObjectSink {
  /** An object's event as it came over the wire, or rewritten to ADDED when the exporter does not have it yet. */
  upsert(uid: string, view: FrameView, wireStart: number, wireEnd: number, asAdded: boolean): void;
  /** A whole DELETED event. */
  remove(uid: string, frame: Buffer): void;
  /** A synthetic deletion: a release may be of tens of thousands of objects, so it is not written before its turn. */
  delete(identity: ObjectIdentity, version: ResourceVersion): void;
  bookmark(version: ResourceVersion, initialEventsEnd?: boolean): void;
}
