import type { UnavailableKind } from '@shard-controller/shared/contracts';
import { exporterLife, type ExporterState, exporterTimes, feedsInUse, type KnownPast } from '../exporter-api/index.ts';
import { type FeedState, type ObjectIndex, SlotState, type Subscription } from '../feed/books/index.ts';
import type { Feed, FeedUse } from '../feed/follow/index.ts';
import type { SlotProgress } from '../handover/index.ts';
import { isExposedRole, type SlotRoles } from '../slots/index.ts';

/*
 * The status of the whole data plane at one moment, computed from the feeds. Many questions have one answer here, so that
 * they cannot contradict each other: may a scrape be answered (warmth), which slots are acknowledged, which kinds are
 * unavailable, which feeds are stale. First it decides which feeds count: a feed that the exporter has left, or whose kind
 * is broken, must neither block readiness nor hold a slot back.
 */

/**
 * A feed without a proof of life for longer than this is no longer shown as healthy: the probe asks every 5 s and
 * waits for 3 s, and once more after a failure. ms.
 */
export const STALE_MS = 12_000;

type StatusWatch = Pick<
  Subscription,
  'id' | 'slots' | 'attached' | 'attachedAt' | 'initialPending' | 'resumed' | 'queuedFrames' | 'collecting'
>;

/** The part of a Feed that this module reads. */
export interface StatusFeed
  extends Pick<
    Feed,
    | 'name'
    | 'resource'
    | 'isQuiet'
    | 'isResumed'
    | 'initialSyncComplete'
    | 'createdAt'
    | 'problem'
    | 'outage'
    | 'proofAt'
  > {
  readonly use: Pick<FeedUse, 'startedAt' | 'startedBeforeAt' | 'leftAt'>;
  readonly refusal: { readonly message: string } | undefined;
  readonly state:
    | (Pick<FeedState, 'filled' | 'everSubscribed' | 'notifiedAt'> & {
        readonly subscriptions: readonly StatusWatch[];
        readonly index: Pick<ObjectIndex, 'sentCount' | 'sentInSlot'>;
      })
    | undefined;
}

/** What all feeds together say at one moment. */
export interface FeedsStatus<F extends StatusFeed = Feed> extends SlotProgress {
  /** Feeds that count: sharded, and of no kind that is broken. */
  readonly feeds: readonly F[];
  readonly total: number;
  readonly synced: number;
  /** Kinds that the exporter wants and cannot be read now, by name. */
  readonly unavailable: readonly UnavailableKind[];
  /** Sharded feeds that the exporter has not left, also those that the API server refuses. */
  readonly exported: readonly F[];
  /** The exporter is not about to open further watches. */
  readonly settled: boolean;
  oldestProofMs(probedAt: number): number;
  /** Names of the feeds that have had no proof of life for STALE_MS, sorted. */
  stale(probedAt: number): string[];
  warmth(isAssigned: boolean): Warmth & { readonly startsOver: boolean };
  acknowledgedSlots(slots: readonly number[]): number;
  shownSlots(slots: readonly number[]): number;
  exposedSlots(roles: SlotRoles | undefined): number;
  queueDepth(): number;
  objectCount(): number;
  objectsByResource(): Record<string, number>;
}

/** @param now monotonic ms. */
export function feedsStatus<F extends StatusFeed>(
  all: readonly F[],
  now: number,
  past: KnownPast = { resumedAt: undefined, initialSyncComplete: true },
): FeedsStatus<F> {
  const times = exporterTimes(all, past);
  const life = exporterLife(times, now);
  const wanted = feedsInUse(all, times, life);
  const feeds = wanted.filter(({ outage }) => outage === undefined);
  const out = wanted.filter(({ outage }) => outage !== undefined);
  // One that is mended is waited for: its objects are on their way, unless the exporter has yet to come for them.
  const mending = out.filter((feed) => feed.outage?.isMending === true && watchesOf(feed).length > 0);
  const isSettled = life.state === 'Settled';
  // A list that waits for a broken kind cannot receive anything.
  const isTellable = (feed: F, { collecting }: StatusWatch): boolean => feed.outage === undefined || !collecting;
  const everySubscription = wanted.flatMap((feed) =>
    (feed.state?.subscriptions ?? []).filter((subscription) => isTellable(feed, subscription)),
  );
  const shownOf = (some: readonly F[]): ((slot: number) => boolean) => {
    const isComplete = isSettled && some.every((feed) => feed.state?.filled === true && watchesOf(feed).length > 0);
    const watches = some.flatMap(watchesOf);
    return (slot) => isComplete && watches.every(({ slots }) => slots[slot] === SlotState.Shown);
  };

  const acknowledgedSlots = (slots: readonly number[]): number => slots.filter(shownOf(feeds)).length;

  return {
    feeds,
    exported: wanted,
    settled: isSettled,
    total: feeds.length,
    synced: feeds.filter(({ state }) => state?.filled === true).length,
    unavailable: unavailableKinds(out),
    oldestProofMs: (probedAt) => Math.max(0, ...feeds.map((feed) => Math.round(now - feed.proofAt(probedAt)))),
    stale: (probedAt) =>
      feeds
        .filter((feed) => now - feed.proofAt(probedAt) > STALE_MS)
        .map(({ name }) => name)
        .sort(),
    warmth: (isAssigned) => {
      const { warm, warmReason } = warmth(feeds, isAssigned, life.state);
      return { warm, warmReason, startsOver: !warm && life.isStartingOver };
    },
    acknowledged: (slots, goesWithout = false) => slots.every(shownOf(goesWithout ? feeds : [...feeds, ...mending])),
    acknowledgedSlots,
    // One that is coming back shows what it had.
    shownSlots: (slots) => (life.state === 'Returning' ? slots.length : acknowledgedSlots(slots)),
    leftOut: new Set(out.map(({ resource }) => resource)).size,
    released: (slots) =>
      life.isBack &&
      all.some(({ isQuiet }) => !isQuiet) &&
      !feeds.some(isOutOfSight) &&
      everySubscription.every((subscription) => slots.every((slot) => subscription.slots[slot] === SlotState.Hidden)),
    objects: (slots) => sum(wanted, (feed) => sum(slots, (slot) => feed.state?.index.sentInSlot(slot) ?? 0)),
    problem: () => feeds.find(({ problem }) => problem !== undefined)?.problem,
    exposedSlots: (roles) => exposedSlots(roles, everySubscription),
    queueDepth: () => sum(everySubscription, ({ queuedFrames }) => queuedFrames),
    objectCount: () => sum(wanted, ({ state }) => state?.index.sentCount ?? 0),
    objectsByResource: () => {
      const counts: Record<string, number> = {};
      for (const { resource, state } of wanted)
        counts[resource] = (counts[resource] ?? 0) + (state?.index.sentCount ?? 0);
      return counts;
    },
  };
}

/** One entry per kind: with several namespaces an exporter has several feeds of each. */
function unavailableKinds(out: readonly StatusFeed[]): UnavailableKind[] {
  const kinds = new Map<string, UnavailableKind>();
  for (const { resource, outage } of out) {
    const before = kinds.get(resource);
    if (outage === undefined || (before !== undefined && before.since <= outage.at)) continue;
    const { cause, problem: message, at: since, isMending } = outage;
    kinds.set(resource, { kind: resource, cause, message, since, ...(isMending ? { mending: true } : {}) });
  }
  return [...kinds.values()].sort((a, b) => (a.kind < b.kind ? -1 : 1));
}

/** Whether an exporter may show objects of the feed, and no watch tells which: it has yet to come, or to come back. */
function isOutOfSight(feed: StatusFeed): boolean {
  return (feed.isResumed || feed.state?.everSubscribed === true) && (feed.state?.subscriptions ?? []).length === 0;
}

/** Subscriptions that a watch has carried; a list whose watch never came is none of the exporter's. */
function watchesOf(feed: StatusFeed): StatusWatch[] {
  return feed.state?.subscriptions.filter(({ attached }) => attached) ?? [];
}

interface Warmth {
  readonly warm: boolean;
  readonly warmReason: string;
}

const WARM: Warmth = { warm: true, warmReason: '' };

function warmth(feeds: readonly StatusFeed[], isAssigned: boolean, exporter: ExporterState): Warmth {
  if (!isAssigned) return cold('no assignment yet');
  // It has kept its series: what its watches have not corrected yet is stale or doubled, but not missing.
  if (exporter === 'Returning') return WARM;
  if (feeds.length === 0) return cold('the exporter has not asked for any resource yet');
  switch (exporter) {
    case 'Absent':
    case 'Discovering':
    case 'Restarting':
    case 'Opening':
    case 'Resuming':
      return cold('the exporter is opening its watches');
    case 'Extending':
    case 'Settled': {
      const reason = feeds.map(coldReason).find((each) => each !== undefined);
      return reason === undefined ? WARM : cold(reason);
    }
  }
  return exporter satisfies never;
}

const cold = (warmReason: string): Warmth => ({ warm: false, warmReason });

function coldReason(feed: StatusFeed): string | undefined {
  const { name, state, problem, isResumed, initialSyncComplete } = feed;
  // A watch that is late to come back: its series are there meanwhile.
  if (isResumed && initialSyncComplete && state?.everSubscribed !== true) return undefined;
  if (state === undefined) return `${name} is not open: ${problem ?? 'waiting for the API server'}`;
  if (!state.filled) return `${name} is being listed`;
  const watches = watchesOf(feed);
  if (watches.length === 0) return `the exporter has no watch on ${name}`;
  // Whether the exporter may show less than it should because of one of them.
  const isPartial = watches.some(({ initialPending, resumed }) => initialPending && !(resumed && initialSyncComplete));
  return isPartial ? `${name} is not rendered yet` : undefined;
}

function exposedSlots(roles: SlotRoles | undefined, subscriptions: readonly StatusWatch[]): number {
  let count = 0;
  for (const [slot, role] of (roles ?? new Uint8Array(0)).entries()) {
    if (isExposedRole(role) || subscriptions.some(({ slots }) => slots[slot] !== SlotState.Hidden)) count++;
  }
  return count;
}

function sum<T>(items: Iterable<T>, of: (item: T) => number): number {
  let total = 0;
  for (const item of items) total += of(item);
  return total;
}
