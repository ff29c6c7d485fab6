import type { Diet } from '../../pruning/index.ts';
import type { FrameCodec, FrameView, ObjectIdentity, ObjectKind } from '../../wire/index.ts';

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
/** A synthetic deletion is written when the exporter takes it; until then it is its identity. Bytes, about. */
export const WITHDRAWAL_BYTES = 128;
/** Synthetic deletions per write: about 64 KiB. */
const WITHDRAWALS_PER_WRITE = 256;

/** An object to delete at the exporter, and the resourceVersion that the event carries. */
interface Withdrawal {
  readonly identity: ObjectIdentity;
  readonly version: string;
}

type QueueItem =
  | { readonly type: 'frames'; readonly bytes: Buffer; readonly count: number }
  | { readonly type: 'withdrawals'; readonly objects: readonly Withdrawal[]; taken: number }
  | { readonly type: 'acknowledge'; readonly version: string; readonly settle: ((acknowledged: boolean) => void)[] };

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
  readonly diet?: Diet | undefined;
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
export class Subscription {
  readonly id: number;
  readonly mark: number;
  /** SlotState per slot. */
  readonly slots: Uint8Array;
  /** Changes with every transition of a slot, so that late completions of an older one are recognised. */
  readonly marks: Uint32Array;
  /** Until the first complete state was acknowledged; a scrape would be partial. */
  initialPending = true;
  /** Its exporter was there before this process and shows what it had: a scrape is stale at worst, not partial. */
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
  readonly #diet: Diet | undefined;
  readonly #now: () => number;
  readonly #onClosed: (subscription: Subscription, shed: boolean) => void;
  #response: WatchResponse | undefined;
  #blocked = false;
  #blockedAt = 0;
  #queue: QueueItem[] = [];
  #batch: Buffer[] = [];
  #withdrawals: Withdrawal[] = [];
  #queuedBytes = 0;
  #queuedFrames = 0;
  /** Of the frames, those that are synthetic deletions. */
  #queuedWithdrawals = 0;
  #awaited:
    | { readonly version: string; readonly since: number; readonly settle: ((ok: boolean) => void)[] }
    | undefined;
  #collected: Map<string, Buffer> | undefined;
  #collectedDone: ((objects: readonly Buffer[], version: string) => void) | undefined;
  #closed = false;
  /** Objects and deletions so far, and how many of them are known to be rendered. */
  #pushed = 0;
  #rendered = 0;
  #drainWaiters: (() => void)[] = [];

  constructor(options: SubscriptionOptions) {
    this.id = options.id;
    this.mark = options.mark;
    this.slots = new Uint8Array(options.slotCount);
    this.marks = new Uint32Array(options.slotCount);
    this.#codec = options.codec;
    this.#kind = options.kind;
    this.#diet = options.diet;
    this.#now = options.now;
    this.#onClosed = options.onClosed;
  }

  /** Whether the exporter has rendered all objects and deletions that were pushed until now. */
  get isRendered(): boolean {
    return this.#rendered === this.#pushed;
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
  get awaitedVersion(): string | undefined {
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
    return this.#collected !== undefined;
  }

  /** Collects the coming objects for one list body instead of writing events. */
  collect(done: (objects: readonly Buffer[], version: string) => void): void {
    this.#collected = new Map();
    this.#collectedDone = done;
  }

  /** Hands over what was collected; from now on the subscription waits for a watch with `resourceVersion=version`. */
  finishCollecting(version: string): void {
    const objects = [...(this.#collected ?? new Map<string, Buffer>()).values()];
    const done = this.#collectedDone;
    this.#collected = undefined;
    this.#collectedDone = undefined;
    this.expect(version);
    done?.(objects, version);
  }

  /** Waits for the exporter's watch with this resourceVersion. */
  expect(version: string): void {
    this.#awaited = { version, since: this.#now(), settle: [] };
  }

  /** Continues on a new response; settles what the exporter has acknowledged by asking for it. */
  attach(response: WatchResponse): void {
    const awaited = this.#awaited;
    const settle = awaited?.settle ?? [];
    this.#awaited = undefined;
    this.#response = response;
    // client-go lists anew after a watch that ends within 1 s without an event: should this process die now, it must
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

  /** An object's event as it came over the wire, or rewritten to ADDED when the exporter does not have it yet. */
  upsert(uid: string, view: FrameView, wireStart: number, wireEnd: number, asAdded: boolean): void {
    if (this.#collected !== undefined) {
      const whole = (): Buffer => Buffer.from(view.bytes.subarray(view.objectStart, view.objectEnd));
      this.#collected.set(uid, this.#diet?.object(view) ?? whole());
      return;
    }
    this.#pushed++;
    this.#endWithdrawals();
    const type = asAdded ? 'ADDED' : view.type;
    const lean = this.#diet?.event(type, view);
    if (lean !== undefined) {
      this.#batch.push(lean);
      return;
    }
    this.#batch.push(
      type !== view.type
        ? this.#codec.event('ADDED', this.#kind, view.bytes.subarray(view.objectStart, view.objectEnd))
        : view.bytes.subarray(wireStart, wireEnd),
    );
  }

  /** A whole DELETED event. */
  remove(uid: string, frame: Buffer): void {
    if (this.#collected !== undefined) {
      this.#collected.delete(uid);
      return;
    }
    this.#pushed++;
    this.#endWithdrawals();
    this.#batch.push(frame);
  }

  /** A synthetic deletion: a release may be of tens of thousands of objects, so it is not written before its turn. */
  withdraw(identity: ObjectIdentity, version: string): void {
    if (this.#collected !== undefined) {
      this.#collected.delete(identity.uid);
      return;
    }
    this.#pushed++;
    this.#endFrames();
    this.#withdrawals.push({ identity, version });
  }

  bookmark(version: string, initialEventsEnd = false): void {
    if (this.#collected !== undefined) return;
    this.#endWithdrawals();
    this.#batch.push(this.#codec.bookmark(this.#kind, version, initialEventsEnd));
  }

  /** Queues what was pushed since the last flush, copied once, so that the upstream chunk can go. */
  flush(): void {
    if (this.#batch.length === 0 && this.#withdrawals.length === 0) return;
    this.#endFrames();
    this.#endWithdrawals();
    if (this.#closed) return;
    this.#pump();
    if (this.#queuedBytes - this.#queuedWithdrawals * WITHDRAWAL_BYTES > SHED_LIMIT) this.#close(true);
  }

  #endFrames(): void {
    const count = this.#batch.length;
    if (count === 0) return;
    const bytes = Buffer.concat(this.#batch);
    this.#batch = [];
    this.#enqueue({ type: 'frames', bytes, count }, bytes.length, count);
  }

  #endWithdrawals(): void {
    const count = this.#withdrawals.length;
    if (count === 0) return;
    const objects = this.#withdrawals;
    this.#withdrawals = [];
    this.#queuedWithdrawals += count;
    this.#enqueue({ type: 'withdrawals', objects, taken: 0 }, count * WITHDRAWAL_BYTES, count);
  }

  #enqueue(item: QueueItem, bytes: number, frames: number): void {
    if (this.#closed) return;
    this.#queue.push(item);
    this.#queuedBytes += bytes;
    this.#queuedFrames += frames;
  }

  /**
   * Resolves true once the exporter has rendered everything pushed so far, false when this subscription ends before.
   * @param version the feed's position: everything pushed later is newer.
   */
  acknowledge(version: string): Promise<boolean> {
    this.flush();
    if (this.#closed) return Promise.resolve(false);
    const pushed = this.#pushed;
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
    this.#batch = [];
    this.#withdrawals = [];
    this.#queuedBytes = 0;
    this.#queuedFrames = 0;
    this.#queuedWithdrawals = 0;
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
      const bytes = item.type === 'frames' ? item.bytes : this.#encodeWithdrawals(item);
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

  /** The next synthetic deletions of `item`, as many as one write is to have. */
  #encodeWithdrawals(item: Extract<QueueItem, { type: 'withdrawals' }>): Buffer {
    const objects = item.objects.slice(item.taken, item.taken + WITHDRAWALS_PER_WRITE);
    item.taken += objects.length;
    this.#queuedBytes -= objects.length * WITHDRAWAL_BYTES;
    this.#queuedFrames -= objects.length;
    this.#queuedWithdrawals -= objects.length;
    return Buffer.concat(objects.map(({ identity, version }) => this.#codec.deleted(this.#kind, identity, version)));
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
