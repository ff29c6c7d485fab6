import { SlotRole } from '../../../slots/slot-plan.ts';
import {
  type Change,
  PLACES,
  slotOfUid,
  SLOTS,
  START,
  type Step,
  step,
  SteppedApiServer,
} from '../../../upstream/testing/stepped-api-server.ts';
import { turns } from '../../../upstream/testing/troubled-upstream.ts';
import type { FeedState } from '../../books/state.ts';
import { SlotState, type Subscription } from '../../books/subscription.ts';
import { brokenFeedInvariants } from '../../books/testing/invariants.ts';
import { WatchPeer } from '../../books/testing/watch-peer.ts';
import { Feed } from '../feed.ts';
import type { Choose } from './every-way.ts';
import { PODS, testContext } from './feed-context.ts';

const [KEPT, MOVED] = [0, 1];
const MOVED_SLOT = new Set([MOVED]);
/** Turns of the event loop after which a step has had all its consequences. */
const TURNS = 6;

/**
 * How the moved slot's objects are read: one by one, by a list of everything, or by a list of the slot while the watch is
 * opened again for it.
 */
export type Reading = 'singles' | 'list' | 'narrowed list';

export interface MoveOptions {
  readonly reading: Reading;
  readonly objects: readonly string[];
  readonly changes: readonly Change[];
  /** What comes at some time after the slot was given: it is taken back, or moves on to another shard. */
  readonly end?: 'take back' | 'release' | undefined;
}

/** A feed whose exporter shows the slot `kept`, and is given the slot `moved`; what happens meanwhile comes step by step. */
export class SteppedMove {
  readonly #api: SteppedApiServer;
  readonly #changes: readonly Change[];
  readonly #widens: boolean;
  readonly #feed: Feed;
  readonly #peer = new WatchPeer();
  readonly #stop = new AbortController();
  #roles = rolesOf(KEPT);
  /** What is to be decided about the moved slot. */
  readonly #decisions: ('give' | 'take back' | 'release')[];
  /** Objects of the moved slot that were shown when it was released. */
  #released: readonly string[] = [];

  constructor({ reading, objects, changes, end }: MoveOptions) {
    const isListed = reading !== 'singles';
    this.#changes = changes;
    this.#widens = reading === 'narrowed list';
    this.#decisions = ['give'];
    if (end !== undefined) this.#decisions.push(end);
    const there = objects.map((uid, i): [string, number] => [uid, i + 1]);
    this.#api = new SteppedApiServer(new Map(there), changes, reading === 'narrowed list');
    const context = testContext(this.#api, {
      clock: { now: () => 0, monotonic: () => 0, sleep: (_ms, signal) => turns(1, signal) },
      random: () => 0,
      roles: () => this.#roles,
    });
    // Of a selection neither the size is known nor are single reads possible.
    const key = { ...PODS, labelSelector: isListed ? 'app=web' : '' };
    const slots = {
      slotCount: SLOTS,
      shardBy: 'uid' as const,
      slotHash: (view: { uid(): string }) => slotOfUid(view.uid()),
    };
    this.#feed = new Feed(key, slots, context);
  }

  /** Takes steps until there is none left, in the order that `choose` decides; throws at the first thing that is wrong. */
  async play(choose: Choose): Promise<void> {
    void this.#feed.run(this.#stop.signal);
    try {
      const { state, subscription } = await this.#start();
      for (;;) {
        const steps = this.#steps(subscription);
        if (steps.length === 0) break;
        choose(steps).act();
        await turns(TURNS);
        throwAny(this.#complaints(state, subscription));
      }
      throwAny(this.#finalComplaints(state, subscription));
    } finally {
      this.#stop.abort();
    }
  }

  async #start(): Promise<{ state: FeedState; subscription: Subscription }> {
    while (this.#feed.state === undefined) await turns(1);
    const { state } = this.#feed;
    const subscription = state.subscribe();
    subscription.attach(this.#peer.response());
    this.#feed.adopt(subscription);
    while (subscription.slots[KEPT] !== SlotState.Shown) {
      if (this.#peer.ended) this.#peer.rewatch(subscription);
      await turns(1);
    }
    this.#peer.log.length = 0;
    this.#api.begin();
    return { state, subscription };
  }

  #steps(subscription: Subscription): Step[] {
    const steps = this.#api.steps();
    if (this.#peer.ended) steps.push(step('acknowledge', () => this.#peer.rewatch(subscription)));
    const until = this.#feed.verification.lateUntil(MOVED_SLOT);
    if (until !== undefined) steps.push(step('prove', () => this.#feed.verification.letGo(MOVED_SLOT, until)));
    const [decision] = this.#decisions;
    if (decision === undefined) return steps;
    const decide = (): void => {
      this.#decisions.shift();
      this.#roles = decision === 'give' ? rolesOf(KEPT, MOVED) : rolesOf(KEPT);
      if (decision === 'release') {
        this.#roles[MOVED] = SlotRole.Release;
        this.#released = [...this.#peer.store.keys()].filter((uid) => slotOfUid(uid) === MOVED);
      }
      this.#feed.plan();
    };
    const [event] = this.#api.events();
    if (event !== undefined && this.#widens) {
      // Nothing of it has been read yet.
      const both = (): void => {
        event.act();
        decide();
      };
      steps.push(step(`${decision} upon ${event.toString()}`, both));
    }
    steps.push(step(decision, decide));
    return steps;
  }

  /** What is wrong at any moment. */
  #complaints(state: FeedState, subscription: Subscription): string[] {
    const { store, regressions, ended } = this.#peer;
    const complaints = regressions.map((uid) => `an older state of ${uid} was shown`);
    complaints.push(...brokenFeedInvariants(state), ...this.#risen(), ...this.#miscounts(state, subscription));
    if (subscription.late.has(MOVED)) {
      const isDeleted = deletedBy(this.#changes);
      const away = this.#released.filter((uid) => !isDeleted.has(uid) && !store.has(uid));
      complaints.push(...away.map((uid) => `${uid} is deleted although nobody else may show it`));
    }
    const heard = Number(state.position) - START;
    const now = this.#api.after(heard);
    const gone = deletedBy(this.#changes);
    const deleted = deletedBy(this.#changes.slice(0, heard));
    for (const [uid, version] of now) {
      const isShown = subscription.slots[slotOfUid(uid)] === SlotState.Shown;
      if (!isShown || gone.has(uid)) continue;
      const held = store.get(uid);
      // Until its watch is back, an exporter has not got what came since.
      if (ended && !this.#api.after(0).has(uid)) continue;
      if (held === undefined) complaints.push(`${uid} is not shown`);
      else if (!ended && Number(held) < version) complaints.push(`${uid} is shown at ${held}, older than ${version}`);
    }
    if (ended) return complaints;
    for (const uid of store.keys()) {
      if (subscription.slots[slotOfUid(uid)] === SlotState.Hidden) complaints.push(`${uid} is a leftover`);
      if (deleted.has(uid)) complaints.push(`${uid} is shown after its deletion`);
    }
    return complaints;
  }

  /** Objects that came again after their deletion. */
  #risen(): string[] {
    const risen: string[] = [];
    for (const [i, { type, uid }] of this.#changes.entries()) {
      if (type !== 'DELETED') continue;
      const events = this.#peer.log.filter((line) => line.split(/[ @]/)[1] === uid);
      const at = events.findIndex((line) => line.startsWith('DELETED') && Number(line.split('@')[1]) >= START + i + 1);
      if (at >= 0 && events.slice(at).some((line) => !line.startsWith('DELETED'))) risen.push(`${uid} came back`);
    }
    return risen;
  }

  /** Counts that are not what there was, of the shown slots, at any position that can be asked for. */
  #miscounts(state: FeedState, subscription: Subscription): string[] {
    const shown = new Set<number>();
    for (const [slot, at] of subscription.slots.entries()) if (at === SlotState.Shown) shown.add(slot);
    const miscounts: string[] = [];
    for (let at = Math.max(START, Number(state.digestFloor)); at <= Number(state.position); at++) {
      const there = [...this.#api.after(at - START).keys()].filter((uid) => shown.has(slotOfUid(uid)));
      const { count } = state.digest(shown, String(at));
      if (count !== there.length) miscounts.push(`counted ${count} as of ${at} instead of ${there.length}`);
    }
    return miscounts;
  }

  /** What is wrong when nothing more is to come. */
  #finalComplaints(state: FeedState, subscription: Subscription): string[] {
    const complaints: string[] = [];
    const wanted = said(
      [...this.#api.after(this.#changes.length)].filter(([uid]) => this.#roles[slotOfUid(uid)] === SlotRole.Owned),
    );
    if (said(this.#peer.store) !== wanted) complaints.push(`${said(this.#peer.store)} is shown, not ${wanted}`);
    const sent = [...state.index.entries()].filter(([, entry]) => entry.sent !== 0);
    const noted = said(sent.map(([uid, { version }]) => [uid, version]));
    if (noted !== wanted) complaints.push(`${noted} is taken to be shown, not ${wanted}`);
    for (const [slot, at] of subscription.slots.entries()) {
      const isOwned = this.#roles[slot] === SlotRole.Owned;
      if (at !== (isOwned ? SlotState.Shown : SlotState.Hidden)) complaints.push(`slot ${PLACES[slot]} stays at ${at}`);
    }
    if (this.#feed.problem !== undefined) complaints.push(this.#feed.problem);
    if (state.tombstones !== undefined) complaints.push('a load has not ended');
    return complaints;
  }
}

function rolesOf(...slots: readonly number[]): Uint8Array {
  const roles = new Uint8Array(SLOTS);
  for (const slot of slots) roles[slot] = SlotRole.Owned;
  return roles;
}

function deletedBy(changes: readonly Change[]): ReadonlySet<string> {
  return new Set(changes.filter(({ type }) => type === 'DELETED').map(({ uid }) => uid));
}

function throwAny(complaints: readonly string[]): void {
  if (complaints.length > 0) throw new Error(complaints.join('; '));
}

function said(objects: Iterable<readonly [string, string | number]>): string {
  return Array.from(objects, ([uid, version]) => `${uid}@${version}`)
    .sort()
    .join(' ');
}
