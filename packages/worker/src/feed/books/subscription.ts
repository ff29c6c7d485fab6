import type { ResourceVersion } from '@shard-controller/shared/kubernetes';
import type { Pruner } from '../../pruning/index.ts';
import type { FrameCodec, FrameView, ObjectIdentity, ObjectKind } from '../../wire/index.ts';
import { EventBatch, type PushedEvents, DELETION_BYTES } from './event-batch.ts';
import { ListCollector } from './list-collector.ts';
import type { ObjectSink } from './object-sink.ts';

/** What the exporter behind one subscription has of a slot. Live events pass from `Loading` on. */
export const SlotState = {
  Hidden: 0,
  /** Deletions are written; not acknowledged yet. */
  Leaving: 1,
  /** Live events pass; the objects that were there before are being listed. */
  Loading: 2,
  /** Everything is written; not acknowledged yet. */
  Sent: 3,
  /** The exporter has rendered it. */
  Shown: 4,
} as const;

/** Bytes that may wait for one exporter before its feed stops reading from the API server. */
export const QUEUE_LIMIT = 4 * 1024 * 1024;
const RESUME_BELOW = QUEUE_LIMIT / 2;
/**
 * Bytes of events beyond which the subscription ends, so that its exporter starts over, rather than the process. Not
 * reached by a slow exporter: its feed stops long before; what can come at once is an object and a turn of the event
 * loop. Synthetic deletions do not count: no more of them wait than the index has objects, and an exporter that comes
 * back gets them all again.
 */
export const SHED_LIMIT = 64 * 1024 * 1024;
type QueueItem =
  | PushedEvents
  | {
      readonly type: 'acknowledge';
      readonly version: ResourceVersion;
      readonly settle: ((acknowledged: boolean) => void)[];
    };

/** The part of an HTTP response that carries a watch. */
export interface WatchResponse {
  /** False when the peer has to take some first; `drain` follows. */
  write(bytes: Uint8Array): boolean;
  end(bytes: Uint8Array): unknown;
  destroy(): unknown;
  on(event: 'drain' | 'close', listener: () => void): unknown;
  /** The peer has gone already; `close` will not be said again. */
  readonly destroyed: boolean;
}

export interface SubscriptionOptions {
  readonly id: number;
  /** Its number in the index; unique among the open ones of a feed. */
  readonly mark: number;
  readonly slotCount: number;
  readonly codec: FrameCodec;
  readonly kind: ObjectKind;
  readonly pruner?: Pruner | undefined;
  readonly now: () => number;
  /** Called once; `shed` when it was because too much waited for the exporter. */
  readonly onClosed: (subscription: Subscription, shed: boolean) => void;
}

/**
 * One open watch of the exporter, across the several HTTP responses that carry it: what it has been sent, what waits
 * for it, and how it acknowledges. Everything goes through one ordered queue.
 *
 * Acknowledgement: BOOKMARK at R, clean end of the response, and the exporter's new watch with `resourceVersion=R`.
 * client-go handles events one by one, so everything before R is then in its store.
 */
export class Subscription implements ObjectSink {
  readonly id: number;
  readonly mark: number;
  /** SlotState per slot. */
  readonly slots: Uint8Array;
  /** Changes with every transition of a slot, so that late completions of an older one are recognised. */
  readonly marks: Uint32Array;
  /** Released slots with objects that wait until somebody else shows them, and up to which position that has to be. */
  readonly late = new Map<number, string>();
  /** Slots that are being loaded again while the exporter holds objects of them in an older state. */
  readonly resend = new Set<number>();
  /** Until the first complete state was acknowledged; a scrape would be partial. */
  initialPending = true;
  /** Its exporter was resumed and shows what it had: a scrape is stale at worst, not partial. */
  resumed = false;
  /** Deletions up to here concern it even when nothing is known of the object; '' where it started from nothing. */
  resumedUntil = '';
  /** A watch carries it, or has carried it. */
  attached = false;
  /** When the newest watch came; monotonic ms. */
  attachedAt = 0;
  /** The next complete state ends with the bookmark that closes a WatchList. */
  closesInitialEvents = false;
  readonly #codec: FrameCodec;
  readonly #kind: ObjectKind;
  readonly #pruner: Pruner | undefined;
  readonly #events: EventBatch;
  readonly #now: () => number;
  readonly #onClosed: (subscription: Subscription, shed: boolean) => void;
  #response: WatchResponse | undefined;
  #blocked = false;
  #blockedAt = 0;
  #queue: QueueItem[] = [];
  #queuedBytes = 0;
  #queuedFrames = 0;
  /** Of the frames, those that are synthetic deletions. */
  #queuedDeletions = 0;
  #awaited:
    | { readonly version: ResourceVersion; readonly since: number; readonly settle: ((ok: boolean) => void)[] }
    | undefined;
  /** While the exporter waits for a list. */
  #list: ListCollector | undefined;
  #closed = false;
  /** Of the objects and deletions that were pushed, those that are known to be rendered. */
  #rendered = 0;
  #drainWaiters: (() => void)[] = [];

  constructor(options: SubscriptionOptions) {
    this.id = options.id;
    this.mark = options.mark;
    this.slots = new Uint8Array(options.slotCount);
    this.marks = new Uint32Array(options.slotCount);
    this.#codec = options.codec;
    this.#kind = options.kind;
    this.#pruner = options.pruner;
    this.#events = new EventBatch(options.codec, options.kind, options.pruner);
    this.#now = options.now;
    this.#onClosed = options.onClosed;
  }

  /** Whether the exporter has rendered all objects and deletions that were pushed until now. */
  get isRendered(): boolean {
    return this.#rendered === this.#events.pushed;
  }
  get closed(): boolean {
    return this.#closed;
  }
  get queuedFrames(): number {
    return this.#queuedFrames;
  }
  /** Bytes that wait for the exporter, those of synthetic deletions estimated. */
  get queuedBytes(): number {
    return this.#queuedBytes;
  }
  /** The resourceVersion with which the exporter has to come back, while it has no response open. */
  get awaitedVersion(): ResourceVersion | undefined {
    return this.#awaited?.version;
  }
  /** How long the exporter has not come back, ms. */
  awaitedMs(): number {
    return this.#awaited === undefined ? 0 : this.#now() - this.#awaited.since;
  }
  /** How long the exporter has taken nothing although the queue is full, ms. */
  stalledMs(): number {
    return this.#blocked && this.#queuedBytes >= QUEUE_LIMIT ? this.#now() - this.#blockedAt : 0;
  }
  get collecting(): boolean {
    return this.#list !== undefined;
  }

  /** Collects the coming objects for one list body instead of writing events. */
  collect(done: (objects: readonly Buffer[], version: ResourceVersion) => void): void {
    this.#list = new ListCollector(this.#pruner, done);
  }

  /** Hands over what was collected; from now on the subscription waits for a watch with `resourceVersion=version`. */
  finishCollecting(version: ResourceVersion): void {
    const list = this.#list;
    this.#list = undefined;
    this.expect(version);
    list?.finish(version);
  }

  /** Waits for the exporter's watch with this resourceVersion. */
  expect(version: ResourceVersion): void {
    this.#awaited = { version, since: this.#now(), settle: [] };
  }

  /** Continues on a new response; settles what the exporter has acknowledged by asking for it. */
  attach(response: WatchResponse): void {
    const awaited = this.#awaited;
    const settle = awaited?.settle ?? [];
    this.#awaited = undefined;
    this.#response = response;
    // client-go lists again after a watch that ends within 1 s without an event: should this process die now, it must
    // not look like one.
    if (awaited !== undefined) response.write(this.#codec.bookmark(this.#kind, awaited.version, false));
    this.attached = true;
    this.attachedAt = this.#now();
    this.#blocked = false;
    response.on('drain', () => {
      if (this.#response !== response) return;
      this.#blocked = false;
      this.#pump();
    });
    response.on('close', () => {
      if (this.#response === response) this.close();
    });
    for (const done of settle) done(true);
    if (response.destroyed) this.close();
    else this.#pump();
  }

  upsert(uid: string, view: FrameView, wireStart: number, wireEnd: number, asAdded: boolean): void {
    this.#sink.upsert(uid, view, wireStart, wireEnd, asAdded);
  }

  remove(uid: string, frame: Buffer): void {
    this.#sink.remove(uid, frame);
  }

  delete(identity: ObjectIdentity, version: ResourceVersion): void {
    this.#sink.delete(identity, version);
  }

  bookmark(version: ResourceVersion, initialEventsEnd = false): void {
    this.#sink.bookmark(version, initialEventsEnd);
  }

  get #sink(): ObjectSink {
    return this.#list ?? this.#events;
  }

  /** Queues what was pushed since the last flush. */
  flush(): void {
    const events = this.#events.take();
    if (events.length === 0 || this.#closed) return;
    for (const item of events) this.#enqueue(item);
    this.#pump();
    if (this.#queuedBytes - this.#queuedDeletions * DELETION_BYTES > SHED_LIMIT) this.#close(true);
  }

  #enqueue(item: PushedEvents): void {
    this.#queue.push(item);
    if (item.type === 'frames') {
      this.#queuedBytes += item.bytes.length;
      this.#queuedFrames += item.count;
      return;
    }
    const count = item.objects.length;
    this.#queuedDeletions += count;
    this.#queuedBytes += count * DELETION_BYTES;
    this.#queuedFrames += count;
  }

  /**
   * Resolves true once the exporter has rendered everything pushed so far, false when this subscription ends before.
   * @param version the feed's position: everything pushed later is newer.
   */
  acknowledge(version: ResourceVersion): Promise<boolean> {
    this.flush();
    if (this.#closed) return Promise.resolve(false);
    const { pushed } = this.#events;
    return new Promise<boolean>((settle) => {
      const resolve = (isRendered: boolean): void => {
        if (isRendered) this.#rendered = Math.max(this.#rendered, pushed);
        settle(isRendered);
      };
      const last = this.#queue.at(-1);
      if (last?.type === 'acknowledge') last.settle.push(resolve);
      else if (this.#queue.length === 0 && this.#awaited !== undefined) this.#awaited.settle.push(resolve);
      else {
        this.#queue.push({ type: 'acknowledge', version, settle: [resolve] });
        this.#pump();
      }
    });
  }

  /** Whether the feed has to stop reading until the exporter has taken more. */
  get full(): boolean {
    return !this.#closed && this.#queuedBytes >= QUEUE_LIMIT;
  }

  /** Resolves when the queue has room again or the subscription ends. */
  room(): Promise<void> {
    if (!this.full) return Promise.resolve();
    return new Promise((resolve) => this.#drainWaiters.push(resolve));
  }

  /** Ends the subscription and its response; the exporter has to start over. Idempotent. */
  close(): void {
    this.#close(false);
  }

  #close(shed: boolean): void {
    if (this.#closed) return;
    this.#closed = true;
    const settle = [...(this.#awaited?.settle ?? [])];
    for (const item of this.#queue) if (item.type === 'acknowledge') settle.push(...item.settle);
    this.#queue = [];
    this.#events.take();
    this.#queuedBytes = 0;
    this.#queuedFrames = 0;
    this.#queuedDeletions = 0;
    this.#awaited = undefined;
    const response = this.#response;
    this.#response = undefined;
    response?.destroy();
    for (const done of settle) done(false);
    this.#wake();
    this.#onClosed(this, shed);
  }

  #pump(): void {
    let taken = 0;
    while (this.#response !== undefined && !this.#blocked && taken < this.#queue.length) {
      const item = this.#queue[taken] as QueueItem;
      if (item.type === 'acknowledge') {
        taken++;
        this.#endResponse(this.#response, item);
        break;
      }
      const bytes = item.type === 'frames' ? item.bytes : this.#encodeDeletions(item);
      if (item.type === 'frames') {
        this.#queuedBytes -= bytes.length;
        this.#queuedFrames -= item.count;
      }
      if (item.type === 'frames' || item.taken === item.objects.length) taken++;
      if (!this.#response.write(bytes)) {
        this.#blocked = true;
        this.#blockedAt = this.#now();
      }
    }
    if (taken > 0) this.#queue = this.#queue.slice(taken);
    if (this.#queuedBytes < RESUME_BELOW) this.#wake();
  }

  #encodeDeletions(item: Extract<PushedEvents, { type: 'deletions' }>): Buffer {
    const { bytes, count } = this.#events.encode(item);
    this.#queuedBytes -= count * DELETION_BYTES;
    this.#queuedFrames -= count;
    this.#queuedDeletions -= count;
    return bytes;
  }

  #endResponse(response: WatchResponse, item: Extract<QueueItem, { type: 'acknowledge' }>): void {
    this.#response = undefined;
    this.#awaited = { version: item.version, since: this.#now(), settle: item.settle };
    response.end(this.#codec.bookmark(this.#kind, item.version, false));
  }

  #wake(): void {
    const waiters = this.#drainWaiters;
    this.#drainWaiters = [];
    for (const resolve of waiters) resolve();
  }
}
