import { fnv1a64, hashToBigInt, slotOf } from '@shard-controller/shared/hashing';
import type { Clock } from '@shard-controller/shared/runtime';
import { type IndexEntry, type ObjectIndex, SlotState, type Subscription } from '../feed/books/index.ts';
import type { Feed } from '../feed/follow/index.ts';
import { type SlotAssignment, SlotRole, type SlotRoles } from '../slots/index.ts';
import { SlotCosts, type SlotLoad } from './slot-costs.ts';

/** One feed at one moment. */
export interface FeedReport {
  readonly feed: string;
  /** Path of the collection at the API server. */
  readonly path: string;
  /** Name in metrics: `pods`, `deployments`, `widgets.example.com`. */
  readonly resource: string;
  /** Unambiguous: `pods`, `deployments.apps`, `widgets.example.com`. */
  readonly collection: string;
  /** Encoding and shape that the exporter asked for. */
  readonly accept: string;
  /** False for CustomResourceDefinitions, which every shard has. */
  readonly isSharded: boolean;
  readonly connected: boolean;
  readonly filled: boolean;
  readonly problem: string | undefined;
  /** resourceVersion of the watch's newest event. */
  readonly position: string | undefined;
  /** Age of the newest proof that the API server is heard, ms. */
  readonly proofAgeMs: number;
  /** Age of the newest bytes of the watch, ms; a bookmark comes about every minute. */
  readonly silenceMs: number;
  /** Objects in the index, whichever shard owns them. */
  readonly known: number;
  /** Objects that the exporter was sent. */
  readonly sent: number;
  readonly sentBytes: number;
  /** Times that an object joined or left `sent`. */
  readonly sentChanges: number;
  readonly queuedFrames: number;
  readonly queuedBytes: number;
  readonly watches: readonly WatchReport[];
}

/** One watch of the exporter. */
interface WatchReport {
  readonly id: number;
  readonly attached: boolean;
  /** The resourceVersion with which the exporter has to come back to acknowledge. */
  readonly awaits: string | undefined;
  readonly slotsShown: number;
  readonly queuedFrames: number;
}

type SlotRoleName = 'none' | 'owned' | 'warm' | 'kept' | 'release';
const ROLE_NAMES: readonly SlotRoleName[] = ['none', 'owned', 'warm', 'kept', 'release'];
const STATE_NAMES = ['Hidden', 'Leaving', 'Loading', 'Sent', 'Shown'] as const;

export interface SlotReport extends SlotLoad {
  readonly slot: number;
  readonly role: SlotRoleName;
}

/** Names an object; by uid, or by kind and name. */
export type ObjectQuery =
  | { readonly uid: string; readonly namespace?: string }
  | { readonly resource: string; readonly namespace: string; readonly name: string };

/** What this worker knows of one object, never its body. */
export interface ObjectReport {
  readonly uid: string | undefined;
  readonly slotCount: number | undefined;
  readonly shardBy: 'uid' | 'namespace' | undefined;
  /** 64 bits, hexadecimal; undefined when what is hashed is not known here. */
  readonly hash: string | undefined;
  readonly slot: number | undefined;
  readonly role: SlotRoleName;
  readonly generation: number | undefined;
  readonly epoch: number | undefined;
  readonly feeds: readonly ObjectInFeed[];
  /** Why its series are here or not, for people. */
  readonly why: string;
}

export interface ObjectInFeed {
  readonly feed: string;
  readonly resource: string;
  readonly namespace: string;
  readonly name: string;
  readonly resourceVersion: string;
  readonly position: string | undefined;
  readonly connected: boolean;
  readonly proofAgeMs: number;
  readonly watches: readonly {
    readonly id: number;
    readonly sent: boolean;
    readonly slotState: (typeof STATE_NAMES)[number];
    /** The exporter has rendered everything of its slot. */
    readonly acknowledged: boolean;
    readonly queuedFrames: number;
  }[];
}

export interface InspectionSource {
  readonly clock: Clock;
  readonly feeds: () => readonly Feed[];
  readonly assignment: () => SlotAssignment | undefined;
  readonly roles: () => SlotRoles | undefined;
  /** Monotonic time of the newest answered probe of the API server, ms. */
  readonly probedAt: () => number;
}

/** Looks into the data plane for metrics, self-check and people; changes nothing. */
export class Inspection {
  readonly #source: InspectionSource;
  readonly #costs = new SlotCosts();

  constructor(source: InspectionSource) {
    this.#source = source;
  }

  /** Measures churn; to be called every few seconds. */
  observe(): void {
    this.#costs.observe(this.#indexes(), this.#source.clock.monotonic());
  }

  feeds(): FeedReport[] {
    const now = this.#source.clock.monotonic();
    return this.#source.feeds().map((feed) => this.#report(feed, now));
  }

  slots(): SlotReport[] {
    const indexes = this.#indexes();
    return Array.from(this.#source.roles() ?? [], (role, slot) => ({
      slot,
      role: ROLE_NAMES[role] ?? 'none',
      ...this.#costs.load(indexes, slot),
    }));
  }

  /** Sizes of all objects that the exporter was sent, bytes, and their churn, bytes per second. */
  totals(): { readonly bytes: number; readonly churn: number } {
    const indexes = this.#indexes();
    return { bytes: indexes.reduce((sum, index) => sum + (index?.allSentBytes ?? 0), 0), churn: this.#costs.total };
  }

  find(query: ObjectQuery): ObjectReport {
    const assignment = this.#source.assignment();
    const found = this.#source.feeds().flatMap((feed) => entriesOf(feed, query).map((entry) => ({ feed, ...entry })));
    const uid = 'uid' in query ? query.uid : found[0]?.uid;
    const namespace = found[0]?.entry.namespace ?? query.namespace;
    const hashed = assignment?.shardBy === 'namespace' ? namespace : uid;
    const hash = assignment === undefined || hashed === undefined ? undefined : fnv1a64(hashed);
    const slot = hash === undefined || assignment === undefined ? undefined : slotOf(hash.high, assignment.slotCount);
    const role =
      ROLE_NAMES[slot === undefined ? SlotRole.None : (this.#source.roles()?.[slot] ?? SlotRole.None)] ?? 'none';
    const feeds = found.map(({ feed, entry }) => this.#objectIn(feed, entry));
    return {
      uid,
      slotCount: assignment?.slotCount,
      shardBy: assignment?.shardBy,
      hash: hash === undefined ? undefined : `0x${hashToBigInt(hash).toString(16).padStart(16, '0')}`,
      slot,
      role,
      generation: assignment?.generation,
      epoch: assignment?.epoch,
      feeds,
      why: explainObject({ isAssigned: assignment !== undefined, slot, role, feeds }),
    };
  }

  #indexes(): (ObjectIndex | undefined)[] {
    return this.#source
      .feeds()
      .filter(({ isQuiet }) => !isQuiet)
      .map(({ state }) => state?.index);
  }

  #report(feed: Feed, now: number): FeedReport {
    const { state } = feed;
    const subscriptions = state?.subscriptions ?? [];
    return {
      feed: feed.name,
      path: feed.key.path,
      resource: feed.resource,
      collection: feed.key.group === '' ? feed.key.resource : `${feed.key.resource}.${feed.key.group}`,
      accept: feed.key.accept,
      isSharded: !feed.isQuiet,
      connected: feed.connected,
      filled: state?.filled ?? false,
      problem: feed.problem,
      position: state?.position,
      proofAgeMs: Math.max(0, now - feed.proofAt(this.#source.probedAt())),
      silenceMs: Math.max(0, now - feed.lastFrameAt),
      known: state?.index.size ?? 0,
      sent: state?.index.sentCount ?? 0,
      sentBytes: state?.index.allSentBytes ?? 0,
      sentChanges: state?.index.sentChanges ?? 0,
      queuedFrames: subscriptions.reduce((sum, { queuedFrames }) => sum + queuedFrames, 0),
      queuedBytes: subscriptions.reduce((sum, { queuedBytes }) => sum + queuedBytes, 0),
      watches: subscriptions.map(watchReport),
    };
  }

  #objectIn(feed: Feed, entry: IndexEntry): ObjectInFeed {
    return {
      feed: feed.name,
      resource: feed.resource,
      namespace: entry.namespace,
      name: entry.name,
      resourceVersion: entry.version,
      position: feed.state?.position,
      connected: feed.connected,
      proofAgeMs: Math.max(0, this.#source.clock.monotonic() - feed.proofAt(this.#source.probedAt())),
      watches: (feed.state?.subscriptions ?? []).map((subscription) => {
        const state = subscription.slots[entry.slot] ?? SlotState.Hidden;
        return {
          id: subscription.id,
          sent: feed.state?.index.isSent(entry, subscription.mark) === true,
          slotState: STATE_NAMES[state] ?? 'Hidden',
          acknowledged: state === SlotState.Shown,
          queuedFrames: subscription.queuedFrames,
        };
      }),
    };
  }
}

function watchReport(subscription: Subscription): WatchReport {
  return {
    id: subscription.id,
    attached: subscription.attached,
    awaits: subscription.awaitedVersion,
    slotsShown: subscription.slots.reduce((count, state) => count + Number(state === SlotState.Shown), 0),
    queuedFrames: subscription.queuedFrames,
  };
}

function entriesOf(feed: Feed, query: ObjectQuery): { readonly uid: string; readonly entry: IndexEntry }[] {
  const index = feed.state?.index;
  if (index === undefined) return [];
  if ('uid' in query) {
    const entry = index.get(query.uid);
    return entry === undefined ? [] : [{ uid: query.uid, entry }];
  }
  if (feed.resource !== query.resource) return [];
  for (const [uid, entry] of index.entries()) {
    if (entry.name === query.name && entry.namespace === query.namespace) return [{ uid, entry }];
  }
  return [];
}

interface ObjectFacts {
  readonly isAssigned: boolean;
  readonly slot: number | undefined;
  readonly role: SlotRoleName;
  readonly feeds: readonly Pick<ObjectInFeed, 'feed' | 'connected' | 'watches'>[];
}

/** The first thing that keeps an object's series from being here, or how it came that they are. */
export function explainObject({ isAssigned, slot, role, feeds }: ObjectFacts): string {
  if (!isAssigned) return 'not here: this worker has no assignment yet';
  if (slot === undefined) {
    return "not here: no feed has an object of this name, and one that the API server narrows knows no other shard's; ask with its uid";
  }
  const isExposed = role === 'owned' || role === 'warm' || role === 'kept';
  const watches = feeds.flatMap((each) => each.watches);
  if (watches.some(({ sent }) => sent)) return whySent(slot, role, isExposed, feeds);
  if (!isExposed) return `not here: slot ${slot} belongs to another shard`;
  if (feeds.length === 0) {
    return `not here: slot ${slot} is ${role}, but no feed knows the object: it does not exist, or the exporter does not watch its kind or namespace`;
  }
  if (watches.length === 0) return `not here: the exporter has no watch on ${feeds[0]?.feed}`;
  if (watches.some(({ slotState }) => slotState === 'Loading')) return `not here yet: slot ${slot} is being listed`;
  return `not here although slot ${slot} is ${role} and listed: the worker has not sent it`;
}

function whySent(slot: number, role: SlotRoleName, isExposed: boolean, feeds: ObjectFacts['feeds']): string {
  const away = feeds.find(({ connected }) => !connected);
  const stale = away === undefined ? '' : `; ${away.feed} is cut off from the API server, so it may be out of date`;
  if (!isExposed) return `here still: slot ${slot} is leaving${stale}`;
  const isShown = feeds.every(({ watches }) => watches.every(({ acknowledged }) => acknowledged));
  if (!isShown) return `sent, not acknowledged by the exporter yet: slot ${slot} is ${role}${stale}`;
  return `here: slot ${slot} is ${role}, and the exporter has acknowledged it${stale}`;
}
