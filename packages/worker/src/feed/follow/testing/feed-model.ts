import type { Clock } from '@shard-controller/shared/runtime';
import { slotHashOf } from '../../../slots/slot-hash.ts';
import { SlotRole } from '../../../slots/slot-plan.ts';
import { ServedKinds } from '../../../upstream/served-kinds.ts';
import { ScriptedApiServer } from '../../../upstream/testing/scripted-api-server.ts';
import { TroubledUpstream, turn, turns } from '../../../upstream/testing/troubled-upstream.ts';
import { protobufBookmark, protobufFrame, readEvents } from '../../../wire/testing/wire.ts';
import { resumeExporter } from '../../books/difference.ts';
import type { FeedState } from '../../books/state.ts';
import { SlotState } from '../../books/subscription.ts';
import { WatchPeer } from '../../books/testing/watch-peer.ts';
import { Feed } from '../feed.ts';
import { ClusterFacts } from './cluster-facts.ts';
import { PODS, testContext } from './feed-context.ts';
import { holdsMoreThanItSays, isAheadOfItself, type ModelExporter } from './model-exporter.ts';

export const SLOTS = 8;
const EVERY_SLOT = new Set(Array.from({ length: SLOTS }, (_, slot) => slot));
/** Turns of the event loop after which everything has come to rest once nothing disturbs it. */
const PATIENCE = 3_000;

/**
 * A feed between a scripted API server and exporters that behave as client-go does, with time that passes only by turns
 * of the event loop; and beside it what really happened, which everything is compared with.
 */
export class FeedModel {
  readonly api = new ScriptedApiServer();
  readonly upstream = new TroubledUpstream(this.api);
  readonly exporters: readonly ModelExporter[];
  roles: Uint8Array = new Uint8Array(SLOTS);
  feed: Feed;
  readonly #labelSelector: string;
  readonly facts = new ClusterFacts();
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
    this.facts.note(this.api.version, uid, type !== 'DELETED');
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
    this.facts.note(this.api.version, uid, false);
  }

  backUp(): void {
    if (this.#isUnnoticed()) return;
    const restore = this.api.backup();
    const facts = this.facts.backup();
    this.#restore = () => {
      restore();
      facts();
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
    const isAhead = ({ hasToList, peer }: ModelExporter): boolean =>
      peer.isBehindPipe || (!hasToList && Number(peer.resumeVersion) > this.api.version);
    this.#isRestored &&= this.isAhead() || this.exporters.some(isAhead);
    return this.#isRestored;
  }

  /** Whether the feed has seen what no longer exists. */
  isAhead(): boolean {
    return Number(this.feed.state?.highWatermark ?? 0) > this.api.version;
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

  #lose(exporter: ModelExporter, arrived: number): void {
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

  #exporter(which: number): ModelExporter {
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

  #connect(exporter: ModelExporter, state: FeedState): void {
    const { peer } = exporter;
    if (!exporter.hasToList) {
      if (!state.filled || this.isAhead()) return;
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
      const isAtRest = state !== undefined && this.isAtRest(state);
      const isThrough = isAtRest && state.position === String(this.api.version);
      calm = isThrough ? calm + 1 : 0;
      if (isAtRest && !isThrough && i % 10 === 0) this.api.say(protobufBookmark(String(this.api.version)));
    }
  }

  isAtRest(state: FeedState): boolean {
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
}

function identityOf(object: Buffer): [uid: string, version: string] {
  const [event] = readEvents(protobufFrame('ADDED', object));
  return [event?.uid ?? '', event?.version ?? ''];
}
