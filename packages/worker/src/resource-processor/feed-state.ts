import { isExposedRole, MembershipRing, type SlotCensus, type SlotRoles } from '../migration-handler/index.ts';
import type { Diet } from './diet.ts';
import type { FrameCodec, ObjectIdentity, ObjectKind } from './frame-codec.ts';
import type { FrameView } from './frame-view.ts';
import { type IndexEntry, ObjectIndex } from './object-index.ts';
import { takeCensus } from './slot-census.ts';
import { FeedScope, isAtRest, neededSlots, type SlotSet } from './feed-scope.ts';
import type { SlotHash } from './slot-hash.ts';
import { SlotState, Subscription, WITHDRAWAL_BYTES } from './subscription.ts';
import { FAR_VERSION, isNewer, newerOf, UNKNOWN_VERSION } from './version-order.ts';

/** Which slots of which subscriptions a load serves: the mark of each slot when the load began, 0 where it does not. */
export type LoadCoverage = ReadonlyMap<Subscription, Uint32Array>;

/**
 * What a state of an object tells the exporter: nothing that it may know yet, nothing beyond what it has been told, or
 * something new.
 */
export type Novelty = 'withheld' | 'known' | 'new';

export interface FeedStateOptions {
  readonly kind: ObjectKind;
  readonly codec: FrameCodec;
  readonly slotCount: number;
  readonly slotHash: SlotHash;
  /** resourceVersion from which the watch runs. */
  readonly position: string;
  /**
   * Slot whose later events are withheld once a subscription has had its first state: objects that may exist, but must
   * not be seen to change. Only for CustomResourceDefinitions.
   */
  readonly quietSlot?: number | undefined;
  /** The slots of this feed are always exposed, whatever the assignment. */
  readonly unsharded?: boolean;
  /** Judges each state of an object of another slot than the quiet one, in order. Only for CustomResourceDefinitions. */
  readonly novelty?: ((entry: object, view: FrameView) => Novelty) | undefined;
  /** Slots of which the API server is asked for objects; everything else it sends is left out. Undefined: all. */
  readonly scope?: SlotSet | undefined;
  /** Objects that are not to be sent although they should be (test fault). */
  readonly withholds?: ((uid: string, slot: number) => boolean) | undefined;
  /** What is left out of the objects on their way to the exporter. */
  readonly diet?: Diet | undefined;
  readonly now: () => number;
  readonly onChange: () => void;
  /** A subscription was ended because too much waited for its exporter. */
  readonly onShed?: () => void;
  /** What was seen beyond `version`, up to `lost`, is not there any more. */
  readonly onRewound?: (lost: string, version: string) => void;
}

const MAX_SUBSCRIPTIONS = 31;

/** A feed has more open watches than it can tell apart. */
export class SubscriptionLimitError extends Error {
  override readonly name = 'SubscriptionLimitError';
  readonly code = 'SC_SUBSCRIPTION_LIMIT';
}

/**
 * What a feed knows, and the rules by which events and list items become the exporter's events. Synchronous and free
 * of I/O: `feed.ts` reads the API server, `subscription.ts` writes to the exporter.
 *
 * The index follows the watch; a load (a list of what was there before) may run ahead of it. Per object the newer
 * resourceVersion wins, so that whatever order items and events arrive in, the exporter ends with the newest state.
 */
export class FeedState {
  readonly kind: ObjectKind;
  readonly codec: FrameCodec;
  readonly diet: Diet | undefined;
  readonly index: ObjectIndex;
  ring: MembershipRing;
  readonly subscriptions: Subscription[] = [];
  readonly scope: FeedScope;
  /** resourceVersion of the newest event of the watch. */
  position: string;
  /** Newest resourceVersion known from any source: a load must not be older. */
  horizon: string;
  /** Where `horizon` stood when the API server last went back; '' where it never did. Positions up to here are ambiguous. */
  lostUntil = '';
  /** Counts are exact for positions from here on: where the newest load or relist stood. */
  censusFloor: string;
  /** All objects within the scope are in the index. */
  filled = false;
  received = 0;
  kept = 0;
  /** When an object's event was last sent; monotonic ms. Only of an unsharded feed. */
  toldAt: number | undefined;
  receivedBytes = 0;
  keptBytes = 0;
  /** Events that the API server sent although they are out of scope: it does not narrow what it sends. */
  unsolicited = 0;
  readonly #slotHash: SlotHash;
  readonly #slotCount: number;
  readonly quietSlot: number | undefined;
  readonly unsharded: boolean;
  readonly #novelty: ((entry: object, view: FrameView) => Novelty) | undefined;
  readonly #withholds: ((uid: string, slot: number) => boolean) | undefined;
  readonly #now: () => number;
  readonly #onChange: () => void;
  readonly #onShed: (() => void) | undefined;
  readonly #onRewound: FeedStateOptions['onRewound'];
  #tombstones: Map<string, string> | undefined;
  /** Were sent objects older than the live position since the last flush. */
  readonly #offPosition = new Set<Subscription>();
  /** From this position on the index knows every object that anybody was ever sent: where the first load stood. */
  #knownFrom = FAR_VERSION;
  #markSequence = 0;
  #subscriptionSequence = 0;

  constructor(options: FeedStateOptions) {
    this.kind = options.kind;
    this.codec = options.codec;
    this.diet = options.diet;
    this.position = options.position;
    this.horizon = options.position;
    this.censusFloor = options.position;
    this.index = new ObjectIndex(options.slotCount);
    this.ring = new MembershipRing(options.position);
    this.#slotHash = options.slotHash;
    this.#slotCount = options.slotCount;
    this.quietSlot = options.quietSlot;
    this.unsharded = options.unsharded ?? false;
    this.#novelty = options.novelty;
    this.scope = new FeedScope(options.scope, options.position);
    this.#withholds = options.withholds;
    this.#now = options.now;
    this.#onChange = options.onChange;
    this.#onShed = options.onShed;
    this.#onRewound = options.onRewound;
  }

  // ---- subscriptions -------------------------------------------------------------------------------------------

  subscribe(): Subscription {
    const used = this.subscriptions.reduce((bits, subscription) => bits | subscription.bit, 0);
    let bit = 1;
    while ((used & bit) !== 0) bit <<= 1;
    if (this.subscriptions.length >= MAX_SUBSCRIPTIONS) {
      throw new SubscriptionLimitError(
        `${MAX_SUBSCRIPTIONS} watches of ${this.kind.kind} are open already: close some, or run another worker for that client`,
      );
    }
    const subscription = new Subscription({
      id: ++this.#subscriptionSequence,
      bit,
      slotCount: this.#slotCount,
      codec: this.codec,
      kind: this.kind,
      diet: this.diet,
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
    for (const [, entry] of this.index.entries()) this.index.clearSent(entry, subscription.bit);
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
  awaiting(version: string): Subscription | undefined {
    return this.subscriptions.findLast((subscription) => subscription.awaitedVersion === version);
  }

  // ---- slots ---------------------------------------------------------------------------------------------------

  /** Brings each subscription's slots towards `roles`; returns whether something has to be loaded. */
  plan(roles: SlotRoles | undefined): boolean {
    let load = false;
    for (const subscription of this.subscriptions) {
      if (this.#planSubscription(subscription, roles)) load = true;
    }
    return load;
  }

  #planSubscription(subscription: Subscription, roles: SlotRoles | undefined): boolean {
    const { slots, marks } = subscription;
    let load = false;
    let givesUp = false;
    let leaving: number[] | undefined;
    for (let slot = 0; slot < slots.length; slot++) {
      const wanted = this.unsharded || (roles !== undefined && isExposedRole(roles[slot] ?? 0));
      const state = slots[slot] as number;
      if (wanted && state < SlotState.Loading) {
        slots[slot] = SlotState.Loading;
        marks[slot] = ++this.#markSequence;
      } else if (!wanted && state >= SlotState.Loading) {
        if (state === SlotState.Loading) givesUp = true;
        slots[slot] = SlotState.Leaving;
        marks[slot] = ++this.#markSequence;
        leaving ??= [];
        leaving.push(slot);
      }
      if (slots[slot] === SlotState.Loading) load = true;
    }
    if (leaving !== undefined) this.#withdraw(subscription, leaving);
    // No load will complete the state that its exporter waits for.
    if (givesUp && !load) this.completeEmpty(subscription);
    return load;
  }

  /** Takes the slots that are needed now into the scope; true when it grew and the watch has to be opened anew. */
  widen(roles: SlotRoles | undefined): boolean {
    return this.scope.widen(neededSlots(this.#slotCount, roles, this.subscriptions));
  }

  /**
   * Leaves out and forgets everything that is not needed any more; true when the watch has to be opened anew. Nothing
   * happens while a slot is on its way.
   */
  narrow(roles: SlotRoles | undefined): boolean {
    const { subscriptions } = this;
    // Without a subscription an exporter may be on its way back, with objects that only this index knows.
    if (this.unsharded || !this.filled || subscriptions.length === 0 || !isAtRest(subscriptions)) return false;
    // One from before this process may yet have to be told of a deletion in any slot.
    if (subscriptions.some(({ resumedUntil }) => isNewer(resumedUntil, this.position))) return false;
    if (!this.scope.narrow(neededSlots(this.#slotCount, roles, this.subscriptions), this.position)) return false;
    for (const [uid, entry] of this.index.entries()) if (!this.scope.has(entry.slot)) this.index.remove(uid);
    for (const subscription of this.subscriptions) subscription.bookmark(this.position);
    this.flush();
    return true;
  }

  #withdraw(subscription: Subscription, leaving: readonly number[]): void {
    const { bit, slots, marks } = subscription;
    // An exporter from before this process may hold what has not been sent again yet.
    const mayHoldAny = subscription.resumedUntil === FAR_VERSION;
    for (const [uid, entry] of this.index.entries()) {
      if (!(mayHoldAny || (entry.sent & bit) !== 0) || slots[entry.slot] !== SlotState.Leaving) continue;
      this.index.clearSent(entry, bit);
      this.sendDeletion(subscription, { uid, namespace: entry.namespace, name: entry.name });
    }
    const taken = leaving.map((slot) => marks[slot] as number);
    void subscription.acknowledge(this.position).then((acknowledged) => {
      if (!acknowledged) return;
      for (const [i, slot] of leaving.entries()) {
        if (marks[slot] === taken[i] && slots[slot] === SlotState.Leaving) slots[slot] = SlotState.Hidden;
      }
      this.#onChange();
    });
  }

  /** A synthetic deletion carries the live position, so that the exporter's resume point does not move back. */
  sendDeletion(subscription: Subscription, identity: ObjectIdentity): void {
    subscription.withdraw(identity, this.position);
    this.#noteSent(WITHDRAWAL_BYTES);
  }

  // ---- live events ---------------------------------------------------------------------------------------------

  /** Applies one watch event; `wireStart` and `wireEnd` bound the whole frame in the view's buffer. */
  live(view: FrameView, wireStart: number, wireEnd: number): void {
    this.received++;
    this.receivedBytes += wireEnd - wireStart;
    const version = view.resourceVersion();
    if (view.type === 'BOOKMARK') {
      this.#advance(version);
      for (const subscription of this.subscriptions) subscription.bookmark(version);
      return;
    }
    const uid = view.uid();
    if (uid === '') return;
    if (view.type === 'DELETED') this.#deleted(uid, version, view, wireStart, wireEnd);
    else this.#upserted(uid, version, view, wireStart, wireEnd);
    this.#advance(version);
  }

  #advance(version: string): void {
    if (isNewer(version, this.position)) this.position = version;
    this.horizon = newerOf(version, this.horizon);
  }

  #deleted(uid: string, version: string, view: FrameView, wireStart: number, wireEnd: number): void {
    const entry = this.index.get(uid);
    const slot = entry?.slot ?? this.#slotHash(view);
    if (!this.scope.has(slot)) {
      this.unsolicited++;
      return;
    }
    this.#tombstones?.set(uid, version);
    this.ring.push({ uid, version, slot, joined: false });
    let frame: Buffer | undefined;
    if (entry !== undefined && entry.sent !== 0) this.index.noteEvent(slot, wireEnd - wireStart);
    for (const subscription of this.subscriptions) {
      const isSent = entry !== undefined && (entry.sent & subscription.bit) !== 0;
      // An exporter from before this process may hold what was not sent by it.
      if (!isSent && isNewer(version, subscription.resumedUntil)) continue;
      if (this.isQuiet(subscription, slot)) continue;
      frame ??= this.diet?.event('DELETED', view) ?? view.bytes.subarray(wireStart, wireEnd);
      subscription.remove(uid, frame);
      this.#noteSent(frame.length);
    }
    this.index.remove(uid);
  }

  #upserted(uid: string, version: string, view: FrameView, wireStart: number, wireEnd: number): void {
    let entry = this.index.get(uid);
    if (entry === undefined) {
      const slot = this.#slotHash(view);
      if (!this.scope.has(slot)) {
        this.unsolicited++;
        return;
      }
      entry = this.index.add(uid, slot, view.namespace(), view.name(), version);
      // One that changes was there before: the load that is to bring it is under way, and counts it.
      if (view.type === 'ADDED') this.ring.push({ uid, version, slot, joined: true });
    } else if (isNewer(version, entry.version)) entry.version = version;
    else return;
    const novelty = this.#judge(entry, view);
    for (const subscription of this.subscriptions) {
      if ((subscription.slots[entry.slot] as number) < SlotState.Loading) continue;
      if (this.isQuiet(subscription, entry.slot)) continue;
      this.#sendObject(subscription, uid, entry, novelty, view, wireStart, wireEnd);
    }
    if (entry.sent !== 0) this.index.noteEvent(entry.slot, wireEnd - wireStart);
  }

  #judge(entry: IndexEntry, view: FrameView): Novelty {
    return this.#novelty === undefined || entry.slot === this.quietSlot ? 'new' : this.#novelty(entry, view);
  }

  #noteSent(bytes: number): void {
    this.kept++;
    this.keptBytes += bytes;
    if (this.unsharded) this.toldAt = this.#now();
  }

  /** Whether events of the slot are withheld from a subscription that has had its first state. */
  isQuiet(subscription: Subscription, slot: number): boolean {
    return slot === this.quietSlot && !subscription.initialPending;
  }

  #sendObject(
    subscription: Subscription,
    uid: string,
    entry: IndexEntry,
    novelty: Novelty,
    view: FrameView,
    wireStart: number,
    wireEnd: number,
  ): void {
    const isNew = (entry.sent & subscription.bit) === 0;
    if (novelty === 'withheld' || (novelty === 'known' && !isNew)) return;
    if (isNew && !this.unsharded && this.#withholds?.(uid, entry.slot) === true) return;
    if (isNew) this.index.markSent(entry, subscription.bit);
    this.index.measure(entry, wireEnd - wireStart);
    subscription.upsert(uid, view, wireStart, wireEnd, isNew);
    this.#noteSent(wireEnd - wireStart);
  }

  // ---- loads ---------------------------------------------------------------------------------------------------

  /** Begins a load of all slots that are marked for it. Tombstones are kept until `endLoad`. */
  beginLoad(): LoadCoverage {
    this.#tombstones = new Map();
    const coverage = new Map<Subscription, Uint32Array>();
    for (const subscription of this.subscriptions) {
      const marks = new Uint32Array(this.#slotCount);
      let any = false;
      for (let slot = 0; slot < marks.length; slot++) {
        if (subscription.slots[slot] !== SlotState.Loading) continue;
        marks[slot] = subscription.marks[slot] as number;
        any = true;
      }
      if (any) coverage.set(subscription, marks);
    }
    return coverage;
  }

  /**
   * Applies one object of a load. It goes to a subscription that has not been sent it, unless it was deleted after the
   * load's snapshot. An item that is ahead of the watch goes to everyone who shows its slot, or to nobody: the watch
   * will not bring it again once the index has it. Throws when the list is older than the watch.
   */
  offer(coverage: LoadCoverage, view: FrameView, wireStart: number, wireEnd: number): void {
    this.received++;
    this.receivedBytes += wireEnd - wireStart;
    const uid = view.uid();
    if (uid === '') return;
    const version = view.resourceVersion();
    const grave = this.#tombstones?.get(uid);
    if (grave !== undefined && !isNewer(version, grave)) return;
    const known = this.index.get(uid);
    const slot = known?.slot ?? this.#slotHash(view);
    if (!this.scope.has(slot)) return;
    const isAhead = known === undefined || isNewer(version, known.version);
    const takers: Subscription[] = [];
    for (const [subscription, marks] of coverage) {
      const has = known !== undefined && (known.sent & subscription.bit) !== 0;
      if (!has && covers(subscription, marks, slot)) takers.push(subscription);
    }
    if (takers.length === 0 && (this.filled || !isAhead)) return;
    if (known !== undefined && isNewer(known.version, version)) {
      throw new Error(`the list has ${uid} at ${version}, older than the watch at ${known.version}`);
    }
    const entry = known ?? this.index.add(uid, slot, view.namespace(), view.name(), version);
    entry.version = version;
    const novelty = this.#judge(entry, view);
    for (const subscription of isAhead ? this.subscriptions : takers) {
      if ((subscription.slots[slot] as number) < SlotState.Loading || this.isQuiet(subscription, slot)) continue;
      this.#sendObject(subscription, uid, entry, novelty, view, wireStart, wireEnd);
      this.#keepResumePoint(subscription, version);
    }
  }

  /**
   * An exporter that goes on from the version of an object that is ahead of the watch would miss what the watch has yet
   * to bring: it is set back at once. For one that is behind, it is enough at the end of the batch.
   */
  #keepResumePoint(subscription: Subscription, version: string): void {
    if (subscription.closesInitialEvents) return;
    if (isNewer(version, this.position)) subscription.bookmark(this.position);
    else this.#offPosition.add(subscription);
  }

  slotOf(view: FrameView): number {
    return this.#slotHash(view);
  }

  /**
   * The load has delivered everything as of `version`: its slots are sent, and acknowledged in due course.
   */
  completeLoad(coverage: LoadCoverage, version: string): void {
    if (!this.filled) this.#knownFrom = version;
    this.filled = true;
    this.horizon = newerOf(version, this.horizon);
    this.censusFloor = newerOf(version, this.censusFloor);
    this.#tombstones = undefined;
    for (const [subscription, marks] of coverage) {
      if (subscription.closed) continue;
      for (let slot = 0; slot < marks.length; slot++) {
        if (covers(subscription, marks, slot)) subscription.slots[slot] = SlotState.Sent;
      }
      // Its acknowledgement says where it is.
      if (!this.unsharded) this.#offPosition.delete(subscription);
      this.#finishState(subscription, marks);
    }
    this.flush();
    this.#onChange();
  }

  abandonLoad(): void {
    this.#tombstones = undefined;
  }

  /** Closes what the subscription waits for, and asks for its acknowledgement. */
  #finishState(subscription: Subscription, marks: Uint32Array): void {
    // What it held before is sent again or gone; deletions that the watch has yet to bring are older than the load.
    if (subscription.resumedUntil === FAR_VERSION) subscription.resumedUntil = this.horizon;
    if (subscription.collecting) subscription.finishCollecting(this.position);
    else if (subscription.closesInitialEvents) {
      subscription.closesInitialEvents = false;
      subscription.bookmark(this.position, true);
    }
    subscription.flush();
    if (this.unsharded) {
      this.#shown(subscription, marks);
      return;
    }
    void subscription.acknowledge(this.position).then((acknowledged) => {
      if (acknowledged) this.#shown(subscription, marks);
    });
  }

  #shown(subscription: Subscription, marks: Uint32Array): void {
    const { slots } = subscription;
    for (let slot = 0; slot < marks.length; slot++) {
      const isSame = marks[slot] !== 0 && subscription.marks[slot] === marks[slot];
      if (isSame && slots[slot] === SlotState.Sent) slots[slot] = SlotState.Shown;
    }
    if (!slots.includes(SlotState.Loading)) subscription.initialPending = false;
    this.#onChange();
  }

  /** Acknowledges a subscription that has nothing to load: its empty state is complete. */
  completeEmpty(subscription: Subscription): void {
    this.#finishState(subscription, new Uint32Array(this.#slotCount));
  }

  // ---- differences (feed-difference.ts) --------------------------------------------------------------------------

  /** Applies the body of an object that was fetched because it differed. */
  refetched(object: Uint8Array, view: FrameView): void {
    this.received++;
    this.receivedBytes += object.length;
    const frame = this.codec.event('MODIFIED', this.kind, object);
    this.codec.readWhole(frame, view);
    const version = view.resourceVersion();
    this.#upserted(view.uid(), version, view, 0, frame.length);
    for (const subscription of this.subscriptions) this.#keepResumePoint(subscription, version);
  }

  /** The watch has missed what led to `version`: when exactly something went is not known. */
  skip(version: string): void {
    this.censusFloor = newerOf(version, this.censusFloor);
  }

  /**
   * The API server's data is an older state than what was seen, because a backup of etcd was restored: what is newer than
   * `version` never happened, and each object may differ under a version that was seen before. A comparison follows.
   */
  rewind(version: string): void {
    const lost = this.horizon;
    for (const subscription of this.subscriptions.slice()) {
      // What an exporter from before this process holds is not known, and can be told by no list any more.
      if (isNewer(subscription.resumedUntil, this.position)) subscription.close();
      else subscription.resumedUntil = '';
    }
    for (const [, entry] of this.index.entries()) entry.version = UNKNOWN_VERSION;
    this.lostUntil = newerOf(this.lostUntil, lost);
    this.position = version;
    this.horizon = version;
    this.censusFloor = version;
    this.#knownFrom = this.filled ? version : FAR_VERSION;
    this.ring.reset(version);
    this.#onRewound?.(lost, version);
  }

  /** The difference is written: the watch goes on from `version`. */
  completeRelist(version: string): void {
    this.position = version;
    this.horizon = newerOf(version, this.horizon);
    this.#offPosition.clear();
    for (const subscription of this.subscriptions) subscription.bookmark(version);
    this.flush();
  }

  /** Whether objects may be gone in a gap of the watch that an exporter holds and this feed has never seen. */
  get isShortOfPast(): boolean {
    return !this.unsharded && isNewer(this.#knownFrom, this.position);
  }

  /** An object that was there where the watch stopped, and is no more at `version`. */
  goneUnseen(object: ObjectIdentity, slot: number, version: string): void {
    for (const subscription of this.subscriptions) {
      if (isNewer(subscription.resumedUntil, this.position)) this.sendDeletion(subscription, object);
    }
    this.ring.push({ uid: object.uid, version, slot, joined: false });
  }

  /** What is gone in the gap before `version` cannot be known: exporters that may hold it have to list anew. */
  startOver(version: string): void {
    this.ring.reset(version);
    for (const subscription of this.subscriptions.slice()) {
      if (isNewer(subscription.resumedUntil, this.position)) subscription.close();
    }
    if (this.filled) this.#knownFrom = version;
  }

  // ---- counting ------------------------------------------------------------------------------------------------

  /** Objects of `slots` in the exporter, as of `version`. Throws when it cannot say. */
  census(slots: ReadonlySet<number>, version: string): SlotCensus {
    return takeCensus(this, slots, version);
  }

  // ---- flow ----------------------------------------------------------------------------------------------------

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

/** A subscription that ended during the load is served no more: its bit may be another one's by now. */
function covers(subscription: Subscription, marks: Uint32Array, slot: number): boolean {
  return (
    !subscription.closed &&
    marks[slot] !== 0 &&
    subscription.marks[slot] === marks[slot] &&
    subscription.slots[slot] === SlotState.Loading
  );
}
