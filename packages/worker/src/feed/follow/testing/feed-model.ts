import { fnv1a64, hashToBigInt, slotOf } from '@shard-controller/shared/hashing';
import type { Clock } from '@shard-controller/shared/runtime';
import { slotHashOf } from '../../../slots/slot-hash.ts';
import { SlotRole } from '../../../slots/slot-plan.ts';
import { ServedKinds } from '../../../upstream/served-kinds.ts';
import { ScriptedApiServer } from '../../../upstream/testing/scripted-api-server.ts';
import { TroubledUpstream, turn, turns } from '../../../upstream/testing/troubled-upstream.ts';
import { protobufBookmark, protobufFrame, readEvents } from '../../../wire/testing/wire.ts';
import { resumeExporter } from '../../books/difference.ts';
import type { FeedState } from '../../books/state.ts';
import { SlotState, type Subscription } from '../../books/subscription.ts';
import { brokenFeedInvariants } from '../../books/testing/invariants.ts';
import { WatchPeer } from '../../books/testing/watch-peer.ts';
import { Feed } from '../feed.ts';
import { PODS, testContext } from './feed-context.ts';

export const SLOTS = 8;
const EVERY_SLOT = new Set(Array.from({ length: SLOTS }, (_, slot) => slot));
/** Turns of the event loop after which everything has come to rest once nothing disturbs it. */
const PATIENCE = 3_000;

/** One exporter: what it holds, and how it comes back. */
interface Exporter {
  readonly peer: WatchPeer;
  subscription: Subscription | undefined;
  /** It stays away for so many turns more. */
  awayFor: number;
  /** It holds nothing, or has been told that its resourceVersion is too old. */
  hasToList: boolean;
}

interface Fact {
  readonly version: number;
  readonly uid: string;
  readonly isThere: boolean;
}

/**
 * A feed between a scripted API server and exporters that behave as client-go does, with time that passes only by turns
 * of the event loop; and beside it what really happened, which everything is compared with.
 */
export class FeedModel {
  readonly api = new ScriptedApiServer();
  readonly upstream = new TroubledUpstream(this.api);
  readonly exporters: readonly Exporter[];
  roles: Uint8Array = new Uint8Array(SLOTS);
  feed: Feed;
  readonly #labelSelector: string;
  readonly #facts: Fact[] = [];
  #generation = 0;
  #compared = 0;
  #restore = (): void => undefined;
  /** The backup was put back, and some exporter has yet to notice. */
  #isRestored = false;
  #stop = new AbortController();
  #now = 0;
  #random: () => number;

  /** @param isCounted the server says how many objects there are: so few that narrowing is not worth it. */
  constructor(exporters: number, isCounted: boolean, random: () => number) {
    this.#labelSelector = isCounted ? '' : 'app=web';
    this.#random = random;
    this.exporters = Array.from({ length: exporters }, () => ({
      peer: new WatchPeer(),
      subscription: undefined,
      awayFor: 0,
      hasToList: true,
    }));
    this.feed = this.#open(undefined);
  }

  #uidOf(name: string): string | undefined {
    return [...this.api.objects.keys()].find((uid) => uid.startsWith(`${name}#`));
  }

  #change(type: 'ADDED' | 'MODIFIED' | 'DELETED', uid: string): void {
    this.api.change(type, uid);
    this.#facts.push({ version: this.api.version, uid, isThere: type !== 'DELETED' });
  }

  touch(name: string): void {
    if (this.#isUnnoticed()) return;
    const outside = [...this.api.outside.keys()].find((uid) => uid.startsWith(`${name}#`));
    const uid = this.#uidOf(name);
    if (outside !== undefined) this.api.changeOutside(outside);
    else if (uid === undefined) this.#change('ADDED', `${name}#${++this.#generation}`);
    else this.#change('MODIFIED', uid);
  }

  remove(name: string): void {
    if (this.#isUnnoticed()) return;
    const uid = this.#uidOf(name);
    if (uid !== undefined) this.#change('DELETED', uid);
  }

  recreate(name: string): void {
    if (this.#isUnnoticed()) return;
    this.remove(name);
    for (const uid of this.api.outside.keys()) if (uid.startsWith(`${name}#`)) this.api.outside.delete(uid);
    this.touch(name);
  }

  /** The object matches the selector no more, or again. */
  relabel(name: string): void {
    if (this.#isUnnoticed()) return;
    const outside = [...this.api.outside.keys()].find((uid) => uid.startsWith(`${name}#`));
    if (outside !== undefined) {
      this.#change('ADDED', outside);
      return;
    }
    const uid = this.#uidOf(name);
    if (uid === undefined) return;
    this.api.leave(uid);
    this.#facts.push({ version: this.api.version, uid, isThere: false });
  }

  backUp(): void {
    if (this.#isUnnoticed()) return;
    const restore = this.api.backup();
    const facts = this.#facts.slice();
    this.#restore = () => {
      restore();
      this.#facts.splice(0, Infinity, ...facts);
    };
  }

  /**
   * Puts the last backup back, in the midst of everything else. Until everybody has noticed, which could not be done
   * afterwards, the cluster stalls: its changes are left out.
   */
  restore(): void {
    if (this.#isUnnoticed() || this.exporters.some((exporter) => isAheadOfItself(exporter))) return;
    this.#restore();
    for (const { peer } of this.exporters) peer.mayGoBack = true;
    this.#isRestored = true;
  }

  /** Resolves once everybody has noticed that the cluster went back. */
  async noticed(): Promise<void> {
    for (let i = 0; i < PATIENCE && this.#isUnnoticed(); i++) {
      for (const exporter of this.exporters) {
        exporter.awayFor = 0;
        exporter.peer.drain();
      }
      await this.pass(1);
    }
  }

  #isUnnoticed(): boolean {
    const isAhead = ({ hasToList, peer }: Exporter): boolean =>
      peer.isBehindPipe || (!hasToList && Number(peer.resumeVersion) > this.api.version);
    this.#isRestored &&= this.#isAhead() || this.exporters.some(isAhead);
    return this.#isRestored;
  }

  /** Whether the feed has seen what no longer exists. */
  #isAhead(): boolean {
    return Number(this.feed.state?.highWatermark ?? 0) > this.api.version;
  }

  #thereAt(version: number): Set<string> {
    const there = new Set<string>();
    for (const fact of this.#facts) {
      if (fact.version > version) break;
      if (fact.isThere) there.add(fact.uid);
      else there.delete(fact.uid);
    }
    return there;
  }

  #open(resumeFrom: string | undefined): Feed {
    const clock: Clock = {
      now: () => this.#now,
      monotonic: () => this.#now,
      sleep: (ms, signal) => turns(1 + Math.min(4, Math.floor(ms / 20)), signal),
    };
    const kinds = new ServedKinds(this.api);
    const context = testContext(this.upstream, { kinds, clock, random: this.#random, roles: () => this.roles });
    const key = { ...PODS, labelSelector: this.#labelSelector };
    const slots = { slotCount: SLOTS, shardBy: 'uid' as const, slotHash: slotHashOf('uid', SLOTS) };
    const feed = new Feed(key, slots, context, resumeFrom);
    this.#stop = new AbortController();
    void feed.run(this.#stop.signal);
    return feed;
  }

  /** The process dies and is started again; of what was on its way to each exporter, `arrived` events come through. */
  async restartWorker(arrived: number): Promise<void> {
    const isUnnoticed = this.#isUnnoticed();
    // Nothing would record what an exporter holds beyond its own version, or what it is receiving at that moment.
    if (isUnnoticed && this.exporters.some(({ peer }) => holdsMoreThanItSays(peer))) return;
    for (const exporter of this.exporters) this.#lose(exporter, isUnnoticed ? 0 : arrived);
    this.#stop.abort();
    await turns(3);
    const back = this.exporters.find(({ hasToList }) => !hasToList);
    this.feed = this.#open(back?.peer.resumeVersion);
  }

  assign(roles: Uint8Array): void {
    this.roles = roles;
    this.feed.plan();
  }

  /** Owned slots of these bits are to be let go. */
  release(bits: number): void {
    this.assign(
      this.roles.map((role, slot) => ((bits >> slot) & 1 && role === SlotRole.Owned ? SlotRole.Release : role)),
    );
  }

  /** A new migration of all slots is verified as of now. */
  compare(): void {
    const { state } = this.feed;
    if (state !== undefined) this.feed.verification.compared(EVERY_SLOT, `m${++this.#compared}`, state.position);
  }

  /** The other shard shows everything that is released. */
  prove(): void {
    const until = this.feed.verification.lateUntil(EVERY_SLOT);
    if (until !== undefined) this.feed.verification.letGo(EVERY_SLOT, until);
  }

  tidy(): void {
    this.#now += 10_000;
    this.feed.tidy();
  }

  stop(): void {
    this.#stop.abort();
  }

  #lose(exporter: Exporter, arrived: number): void {
    exporter.peer.lose(arrived);
    exporter.peer.log.push('LOST');
    // What never reached it leaves it with nothing to come back to.
    if (exporter.subscription?.collecting === true || exporter.peer.resumeVersion === '') exporter.hasToList = true;
    exporter.subscription?.close();
    exporter.subscription = undefined;
    exporter.peer.destroyed = false;
  }

  /** Its connection breaks; it comes back where it was. */
  loseExporter(which: number, arrived: number, awayFor: number): void {
    const exporter = this.#exporter(which);
    this.#lose(exporter, arrived);
    exporter.awayFor = awayFor;
  }

  restartExporter(which: number): void {
    const exporter = this.#exporter(which);
    this.#lose(exporter, 0);
    exporter.peer.store.clear();
    exporter.peer.resumeVersion = '';
    exporter.hasToList = true;
  }

  /** It takes nothing: what is written stays in the pipe, or in the queue before it. */
  stallExporter(which: number, isFull: boolean): void {
    const { peer } = this.#exporter(which);
    peer.stalls = true;
    peer.takes = !isFull;
  }

  drainExporter(which: number): void {
    this.#exporter(which).peer.drain();
  }

  #exporter(which: number): Exporter {
    const exporter = this.exporters[which % this.exporters.length];
    if (exporter === undefined) throw new Error('there is no exporter');
    return exporter;
  }

  /** What exporters do by themselves. */
  #tend(): void {
    const { state } = this.feed;
    for (const exporter of this.exporters) {
      if (exporter.subscription?.closed === true) this.#lose(exporter, 0);
      if (exporter.awayFor > 0) exporter.awayFor--;
      else if (exporter.subscription !== undefined) {
        if (exporter.peer.ended) exporter.peer.rewatch(exporter.subscription);
      } else if (state !== undefined) this.#connect(exporter, state);
    }
  }

  #connect(exporter: Exporter, state: FeedState): void {
    const { peer } = exporter;
    if (!exporter.hasToList) {
      if (!state.filled || this.#isAhead()) return;
      const isReached = Number(peer.resumeVersion) <= this.api.version;
      const resumed = isReached ? resumeExporter(state, peer.resumeVersion, this.roles) : undefined;
      if (resumed === undefined) exporter.hasToList = true;
      else {
        exporter.subscription = resumed;
        resumed.attach(peer.response());
        resumed.flush();
        this.feed.adopt(resumed);
      }
      return;
    }
    const subscription = state.subscribe();
    exporter.subscription = subscription;
    if (peer.store.size === 0) {
      subscription.bookmark(state.position, true);
      subscription.attach(peer.response());
      subscription.flush();
      exporter.hasToList = false;
    } else {
      subscription.collect((objects, version) => {
        peer.replace(objects.map(identityOf), version);
        exporter.hasToList = false;
      });
    }
    this.feed.adopt(subscription);
  }

  async pass(count: number): Promise<void> {
    for (let i = 0; i < count; i++) {
      await turn();
      this.#tend();
    }
  }

  /** All trouble ends; resolves when everything has come to rest, or patience has. */
  async settle(): Promise<void> {
    this.upstream.clear();
    for (const exporter of this.exporters) {
      exporter.awayFor = 0;
      exporter.peer.drain();
    }
    let calm = 0;
    for (let i = 0; i < PATIENCE && calm < 5; i++) {
      this.prove();
      await this.pass(1);
      const { state } = this.feed;
      const isAtRest = state !== undefined && this.#isAtRest(state);
      const isThrough = isAtRest && state.position === String(this.api.version);
      calm = isThrough ? calm + 1 : 0;
      if (isAtRest && !isThrough && i % 10 === 0) this.api.say(protobufBookmark(String(this.api.version)));
    }
  }

  #isAtRest(state: FeedState): boolean {
    const isPlaced = (slot: number): number =>
      this.roles[slot] === SlotRole.Owned ? SlotState.Shown : SlotState.Hidden;
    return (
      this.feed.connected &&
      state.filled &&
      this.api.watches === 1 &&
      state.subscriptions.length === this.exporters.length &&
      state.subscriptions.every(({ slots }) => slots.every((at, slot) => at === isPlaced(slot)))
    );
  }

  /** What is wrong at any moment; empty when nothing is. */
  complaints(): string[] {
    const complaints: string[] = [];
    for (const [i, { peer }] of this.exporters.entries()) {
      if (peer.regressions.length > 0)
        complaints.push(`exporter ${i} saw an older state of ${peer.regressions.join()}`);
      complaints.push(...this.#risen(peer).map((line) => `exporter ${i} saw ${line}`));
    }
    complaints.push(...this.#brokenInvariants(), ...this.#miscounts());
    return complaints;
  }

  /** Objects that came back although their deletion had been shown. */
  #risen(peer: WatchPeer): string[] {
    if (peer.mayGoBack) return [];
    const gone = new Map<string, number>();
    const risen: string[] = [];
    for (const line of peer.log) {
      const [type = '', rest = ''] = line.split(' ');
      const [uid = '', version = ''] = rest.split('@');
      if (
        type === 'DELETED' &&
        this.#facts.some((fact) => fact.uid === uid && !fact.isThere && String(fact.version) === version)
      )
        gone.set(uid, Number(version));
      else if (line === 'LOST') gone.clear();
      else if (type === 'ADDED' && Number(version) < (gone.get(uid) ?? 0)) risen.push(`${line} after its deletion`);
    }
    return risen;
  }

  #brokenInvariants(): string[] {
    const { state } = this.feed;
    // A list of what there was before a restore that nobody has noticed yet lacks what only the index still has.
    return state === undefined || this.#isAhead() ? [] : brokenFeedInvariants(state);
  }

  /** Counts of shown slots that are not what there was at a position. */
  #miscounts(): string[] {
    const { state } = this.feed;
    if (state === undefined || state.subscriptions.length === 0 || !state.filled || this.#isAhead()) return [];
    const shown = new Set<number>();
    for (let slot = 0; slot < SLOTS; slot++) {
      if (state.subscriptions.every(({ slots }) => slots[slot] === SlotState.Shown)) shown.add(slot);
    }
    const miscounts: string[] = [];
    for (let at = Number(state.position); at >= Math.max(Number(state.digestFloor), Number(state.position) - 3); at--) {
      if (state.ring.since(String(at)) === undefined) break;
      const there = [...this.#thereAt(at)].filter((uid) => shown.has(slotOfUid(uid)));
      const said = state.digest(shown, String(at));
      const digest = BigInt.asUintN(
        64,
        there.reduce((total, uid) => total + hashToBigInt(fnv1a64(uid)), 0n),
      );
      if (said.count !== there.length || said.digest !== digest) {
        miscounts.push(`counted ${said.count} as of ${at} instead of ${there.length}`);
      }
    }
    return miscounts;
  }

  /** What is wrong once everything is at rest. */
  finalComplaints(): string[] {
    const { state } = this.feed;
    const complaints = this.complaints();
    if (state === undefined || !this.#isAtRest(state) || state.position !== String(this.api.version)) {
      const slots = state?.subscriptions.map((subscription) => [...subscription.slots].join('')).join(' ');
      complaints.push(
        `it does not come to rest: connected ${this.feed.connected}, slots ${slots}, watches ${this.api.watches}, ` +
          `position ${state?.position} of ${this.api.version}, problem ${this.feed.problem}`,
      );
      return complaints;
    }
    const expected = [...this.api.objects].filter(([uid]) => this.roles[slotOfUid(uid)] === SlotRole.Owned);
    const wanted = said(expected.map(([uid, version]) => [uid, String(version)]));
    for (const [i, { peer, subscription }] of this.exporters.entries()) {
      if (said(peer.store) !== wanted) complaints.push(`exporter ${i} holds ${said(peer.store)}, not ${wanted}`);
      const sent = [...state.index.entries()].filter(
        ([, entry]) => subscription !== undefined && state.index.isSent(entry, subscription.mark),
      );
      const noted = said(sent.map(([uid, { version }]) => [uid, version]));
      if (noted !== wanted) complaints.push(`it takes exporter ${i} to hold ${noted}, not ${wanted}`);
    }
    return complaints;
  }
}

/**
 * Whether an exporter holds more than it says, and the worker that knows is gone: it died in the moment between a load
 * and the events that the watch has of the same. If the API server goes back just then, no component can find out.
 */
function isAheadOfItself({ peer, subscription, hasToList }: Exporter): boolean {
  return subscription === undefined && !hasToList && holdsMoreThanItSays(peer);
}

function holdsMoreThanItSays({ store, resumeVersion }: WatchPeer): boolean {
  return [...store.values()].some((version) => Number(version) > Number(resumeVersion));
}

function said(objects: Iterable<readonly [string, string]>): string {
  return [...objects]
    .map(([uid, version]) => `${uid}@${version}`)
    .sort()
    .join(' ');
}

function slotOfUid(uid: string): number {
  return slotOf(fnv1a64(uid).high, SLOTS);
}

function identityOf(object: Buffer): [uid: string, version: string] {
  const [event] = readEvents(protobufFrame('ADDED', object));
  return [event?.uid ?? '', event?.version ?? ''];
}
