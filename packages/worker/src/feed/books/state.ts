import type { ResourceVersion } from '@shard-controller/shared/kubernetes';
import type { SlotIndex } from '@shard-controller/shared/hashing';
import type { Pruner } from '../../pruning/index.ts';
import type { SlotHash } from '../../slots/index.ts';
import { type FrameCodec, type FrameView, isNewer, type ObjectIdentity, type ObjectKind } from '../../wire/index.ts';
import { DELETION_BYTES } from './event-batch.ts';
import { VerifiedSlots } from './late-objects.ts';
import { MembershipRing } from './membership-ring.ts';
import { type IndexEntry, ObjectIndex } from './object-index.ts';
import { FeedScope } from './scope.ts';
import { type SlotDigest, slotDigest } from './slot-digest.ts';
import type { FeedStateOptions, FilterDecision } from './state-options.ts';
import { Subscription } from './subscription.ts';
import { type FeedTraffic, TrafficCount } from './traffic.ts';
import { FeedVersions } from './versions.ts';

/**
 * The books of one collection: which objects exist, and what each open watch of the exporter has been sent. Two streams of
 * facts meet here. The API server says what exists (a watch, and lists that may be older or newer than it); the assignment
 * says which slots the exporter may show. The books turn both into events for the exporter, never into a relist.
 *
 * Synchronous and free of I/O, as are the rules by which the books change:
 * `slots.ts` (handover of slots), `events.ts` (the watch), `load.ts` (lists), `difference.ts` (gaps).
 * `follow/watch.ts` and `follow/loader.ts` read the API server, `subscription.ts` writes to the exporter.
 *
 * The index follows the watch; a load (a list of what was there before) may run ahead of it. Per object the newer
 * resourceVersion wins, so that whatever order items and events arrive in, the exporter ends with the newest state.
 *
 * What holds between two events, cited where it is kept, checked by `testing/invariants.ts`:
 *
 * - I1: `position` is never newer than `highWatermark`.
 * - I2: the index holds objects of the scope only.
 * - I3: open subscriptions have marks of their own, and the index knows no other mark.
 * - I4: what an exporter was sent lies in a slot that is loading, sent or shown, or is late in leaving (`Subscription.late`).
 * - I5: of a slot that is sent or shown the exporter was sent every object in the index that it is to get, once
 *   the watch has brought the deletions that the newest load or relist knew of (`position` has reached `digestFloor`), and while it knows of every restore of a backup.
 * - I6: `knownFrom` is a position exactly when the feed is `filled`.
 * - I7: a count as of a version from `digestFloor` on is what there was; the models compare it with the cluster.
 */
export class FeedState extends FeedVersions {
  readonly kind: ObjectKind;
  readonly codec: FrameCodec;
  readonly pruner: Pruner | undefined;
  readonly index: ObjectIndex;
  readonly ring: MembershipRing;
  readonly subscriptions: Subscription[] = [];
  readonly scope: FeedScope;
  readonly verified = new VerifiedSlots();
  readonly slotCount: number;
  readonly quietSlot: number | undefined;
  readonly unsharded: boolean;
  readonly #slotHash: SlotHash;
  readonly #eventFilter: ((entry: object, view: FrameView) => FilterDecision) | undefined;
  readonly #now: () => number;
  #lateAskedAt = -Infinity;
  readonly #onChange: () => void;
  readonly #onShed: (() => void) | undefined;
  /** Subscriptions that were sent objects older than the live position since the last flush. */
  readonly #offPosition = new Set<Subscription>();
  #initialSyncComplete: boolean;
  #notifiedAt: number | undefined;
  #unsolicited = 0;
  #tombstones: Map<string, string> | undefined;
  readonly #traffic = new TrafficCount();
  #markSequence = 0;
  #subscriptionSequence = 0;

  constructor(options: FeedStateOptions) {
    super(options.position);
    this.kind = options.kind;
    this.codec = options.codec;
    this.pruner = options.pruner;
    this.index = new ObjectIndex(options.slotCount);
    this.ring = new MembershipRing(options.position);
    this.#slotHash = options.slotHash;
    this.slotCount = options.slotCount;
    this.quietSlot = options.quietSlot;
    this.unsharded = options.unsharded ?? false;
    this.#initialSyncComplete = options.initialSyncComplete ?? false;
    this.#eventFilter = options.eventFilter;
    this.scope = new FeedScope(options.scope, options.position);
    this.#now = options.now;
    this.#onChange = options.onChange;
    this.#onShed = options.onShed;
  }

  /** The exporter has shown all of it since it last asked for it from nothing, here or before this process. */
  get initialSyncComplete(): boolean {
    return this.#initialSyncComplete;
  }

  /** When an object's event was last sent; monotonic ms. Only of an unsharded feed. */
  get notifiedAt(): number | undefined {
    return this.#notifiedAt;
  }

  /** Events that the API server sent although they are out of scope: it does not narrow what it sends. */
  get unsolicited(): number {
    return this.#unsolicited;
  }

  /** Objects deleted since the load under way began, and when: resourceVersion by uid. Undefined without a load. */
  get tombstones(): ReadonlyMap<string, string> | undefined {
    return this.#tombstones;
  }

  /** A mark is free again when its subscription has ended (I3). */
  subscribe(): Subscription {
    const used = new Set(this.subscriptions.map((subscription) => subscription.mark));
    let mark = 0;
    while (used.has(mark)) mark++;
    const subscription = new Subscription({
      id: ++this.#subscriptionSequence,
      mark,
      slotCount: this.slotCount,
      codec: this.codec,
      kind: this.kind,
      pruner: this.pruner,
      now: this.#now,
      onClosed: (closed, shed) => {
        if (shed) this.#onShed?.();
        this.#unsubscribe(closed);
      },
    });
    this.subscriptions.push(subscription);
    return subscription;
  }

  #unsubscribe(subscription: Subscription): void {
    const at = this.subscriptions.indexOf(subscription);
    if (at < 0) return;
    this.subscriptions.splice(at, 1);
    // I3
    for (const [, entry] of this.index.entries()) this.index.clearSent(entry, subscription.mark);
    this.#onChange();
  }

  /** Whether an exporter has ever watched here. */
  get everSubscribed(): boolean {
    return this.#subscriptionSequence > 0;
  }

  /**
   * The subscription that waits for a watch with this resourceVersion; the newest, because an exporter that starts its
   * watches again leaves the older ones without a word.
   */
  awaiting(version: ResourceVersion): Subscription | undefined {
    return this.subscriptions.findLast((subscription) => subscription.awaitedVersion === version);
  }

  /** Numbers a transition of a slot (`Subscription.marks`). */
  nextMark(): number {
    return ++this.#markSequence;
  }

  /** When a manager last asked about late objects, or they became late; monotonic ms. */
  get lateAskedAt(): number {
    return this.#lateAskedAt;
  }

  noteLateAsked(): void {
    this.#lateAskedAt = this.#now();
  }

  /** Monotonic, ms. */
  get now(): number {
    return this.#now();
  }

  /** Something has changed that is reported of the feed. */
  changed(): void {
    this.#onChange();
  }

  /** A load begins: what is deleted meanwhile is not to come back by it. */
  beginLoad(): void {
    this.#tombstones = new Map();
  }

  /** The load under way has failed, or is through. */
  endLoad(): void {
    this.#tombstones = undefined;
  }

  override continueFrom(version: ResourceVersion): void {
    super.continueFrom(version);
    this.#offPosition.clear();
  }

  override forgetUntil(version: ResourceVersion): void {
    super.forgetUntil(version);
    this.ring.reset(version);
  }

  override restoreTo(version: ResourceVersion): void {
    super.restoreTo(version);
    this.verified.forget();
  }

  noteDeleted(uid: string, version: ResourceVersion): void {
    this.#tombstones?.set(uid, version);
  }

  /** An event out of scope: it is left out (I2). */
  noteUnsolicited(): void {
    this.#unsolicited++;
  }

  /** Another watch follows, which may be narrowed better. */
  forgetUnsolicited(): void {
    this.#unsolicited = 0;
  }

  /** Its exporter shows all of it. */
  noteSynced(): void {
    this.#initialSyncComplete = true;
  }

  /** Its exporter has asked for everything from nothing. */
  noteStart(): void {
    this.#initialSyncComplete = false;
  }

  noteReceived(bytes: number): void {
    this.#traffic.received(bytes);
  }

  /** What came and went since the last time. */
  takeTraffic(): FeedTraffic {
    return this.#traffic.take();
  }

  /** Where the object belongs. */
  slotOf(view: FrameView): SlotIndex {
    return this.#slotHash(view);
  }

  /** What this state of an object tells the exporter; to be asked once of each, in order. */
  filter(entry: IndexEntry, view: FrameView): FilterDecision {
    return this.#eventFilter === undefined || entry.slot === this.quietSlot
      ? 'forward'
      : this.#eventFilter(entry, view);
  }

  /** Whether events of the slot are withheld from a subscription that has had its first state. */
  isQuiet(subscription: Subscription, slot: SlotIndex): boolean {
    return slot === this.quietSlot && !subscription.initialPending;
  }

  sendObject(
    subscription: Subscription,
    uid: string,
    entry: IndexEntry,
    decision: FilterDecision,
    view: FrameView,
    wireStart: number,
    wireEnd: number,
  ): void {
    const isNew = !this.index.isSent(entry, subscription.mark);
    if (decision === 'suppress' || (decision === 'dedupe' && !isNew)) return;
    if (isNew) this.index.markSent(entry, subscription.mark);
    this.index.measure(entry, wireEnd - wireStart);
    subscription.upsert(uid, view, wireStart, wireEnd, isNew);
    this.noteSent(wireEnd - wireStart);
  }

  /** A synthetic deletion. With the live position, where it is the exporter's, its resume point does not move back. */
  sendDeletion(subscription: Subscription, identity: ObjectIdentity, version = this.position): void {
    subscription.delete(identity, version);
    this.noteSent(DELETION_BYTES);
  }

  noteSent(bytes: number): void {
    this.#traffic.kept(bytes);
    if (this.unsharded) this.#notifiedAt = this.#now();
  }

  /**
   * An exporter that continues from the version of an object that is ahead of the watch would miss what the watch has yet
   * to bring: it is set back at once. For one that is behind, it is enough at the end of the batch.
   */
  keepResumePoint(subscription: Subscription, version: ResourceVersion): void {
    if (subscription.closesInitialEvents) return;
    if (isNewer(version, this.position)) subscription.bookmark(this.position);
    else this.#offPosition.add(subscription);
  }

  /** Its acknowledgement says where it is. */
  isOnPosition(subscription: Subscription): void {
    this.#offPosition.delete(subscription);
  }

  /** Objects of `slots`, and of `namespaces`, in the exporter as of `version`. Throws when it cannot say. */
  digest(slots: ReadonlySet<number>, version: ResourceVersion, namespaces?: ReadonlySet<string>): SlotDigest {
    return slotDigest(this, slots, version, namespaces);
  }

  /** Passes on what was pushed; after objects of a list the exporter's resume point is the live position again. */
  flush(): void {
    for (const subscription of this.#offPosition) subscription.bookmark(this.position);
    this.#offPosition.clear();
    for (const subscription of this.subscriptions.slice()) subscription.flush();
  }

  /**
   * Resolves once every subscription has room: the way by which a slow exporter slows the API server's stream. Undefined
   * when there is room at once.
   */
  room(): Promise<void> | undefined {
    return this.subscriptions.some(({ full }) => full) ? this.#room() : undefined;
  }

  async #room(): Promise<void> {
    for (const subscription of this.subscriptions.slice()) if (subscription.full) await subscription.room();
  }
}
