import type { ResourceVersion } from '@shard-controller/shared/kubernetes';
import type { Pruner } from '../../pruning/index.ts';
import type { FrameCodec, FrameView, ObjectIdentity, ObjectKind } from '../../wire/index.ts';
import type { ObjectSink } from './object-sink.ts';

/** A synthetic deletion is written when the exporter takes it; until then it is its identity. Bytes, about. */
export const DELETION_BYTES = 128;
/** Synthetic deletions per write: about 64 KiB. */
const DELETIONS_PER_WRITE = 256;

/** An object to delete at the exporter, and the resourceVersion that the event carries. */
interface Deletion {
  readonly identity: ObjectIdentity;
  readonly version: ResourceVersion;
}

/** Events on their way to an exporter. */
export type PushedEvents =
  | { readonly type: 'frames'; readonly bytes: Buffer; readonly count: number }
  | { readonly type: 'deletions'; readonly objects: readonly Deletion[]; taken: number };

/** Makes events of what is pushed, in order. */
export class EventBatch implements ObjectSink {
  readonly #codec: FrameCodec;
  readonly #kind: ObjectKind;
  readonly #pruner: Pruner | undefined;
  #frames: Buffer[] = [];
  #deletions: Deletion[] = [];
  #ended: PushedEvents[] = [];
  #pushed = 0;

  constructor(codec: FrameCodec, kind: ObjectKind, pruner: Pruner | undefined) {
    this.#codec = codec;
    this.#kind = kind;
    this.#pruner = pruner;
  }

  /** Objects and deletions so far. */
  get pushed(): number {
    return this.#pushed;
  }

  upsert(_uid: string, view: FrameView, wireStart: number, wireEnd: number, asAdded: boolean): void {
    const type = asAdded ? 'ADDED' : view.type;
    const whole = (): Buffer =>
      type === view.type
        ? view.bytes.subarray(wireStart, wireEnd)
        : this.#codec.event('ADDED', this.#kind, view.bytes.subarray(view.objectStart, view.objectEnd));
    this.#pushed++;
    this.#endDeletions();
    this.#frames.push(this.#pruner?.event(type, view) ?? whole());
  }

  remove(_uid: string, frame: Buffer): void {
    this.#pushed++;
    this.#endDeletions();
    this.#frames.push(frame);
  }

  delete(identity: ObjectIdentity, version: ResourceVersion): void {
    this.#pushed++;
    this.#endFrames();
    this.#deletions.push({ identity, version });
  }

  bookmark(version: ResourceVersion, initialEventsEnd = false): void {
    this.#endDeletions();
    this.#frames.push(this.#codec.bookmark(this.#kind, version, initialEventsEnd));
  }

  /** What was pushed since the last time; copied, so that the chunk it came in can go. */
  take(): readonly PushedEvents[] {
    this.#endFrames();
    this.#endDeletions();
    const events = this.#ended;
    if (events.length > 0) this.#ended = [];
    return events;
  }

  /** The next synthetic deletions of `item`, as many as one write is to have. */
  encode(item: Extract<PushedEvents, { type: 'deletions' }>): { readonly bytes: Buffer; readonly count: number } {
    const objects = item.objects.slice(item.taken, item.taken + DELETIONS_PER_WRITE);
    item.taken += objects.length;
    const frames = objects.map(({ identity, version }) => this.#codec.deleted(this.#kind, identity, version));
    return { bytes: Buffer.concat(frames), count: objects.length };
  }

  #endFrames(): void {
    const count = this.#frames.length;
    if (count === 0) return;
    const bytes = Buffer.concat(this.#frames);
    this.#frames = [];
    this.#ended.push({ type: 'frames', bytes, count });
  }

  #endDeletions(): void {
    if (this.#deletions.length === 0) return;
    this.#ended.push({ type: 'deletions', objects: this.#deletions, taken: 0 });
    this.#deletions = [];
  }
}
