import type { Logger } from '@shard-controller/shared/observability';
import {
  exporterTimes,
  type FeedDirectory,
  isCustomResourceDefinitions,
  type StartOutlook,
  startOutlook,
} from '../exporter-api/index.ts';
import { crdSlots, Feed, type FeedContext, type FeedSlots } from '../feed/follow/index.ts';
import type { CustomResourceKind } from '../pruning/index.ts';
import { slotHashOf, type SlotRoles } from '../slots/index.ts';
import { feedId, type FeedKey, delayedUpstream, resourceName } from '../upstream/index.ts';
import type { ExporterPast } from './exporter-past.ts';
import type { SlotTable } from './slot-table.ts';

/** A feed that the exporter has left, while it uses others, is closed. ms. */
const IDLE_LIMIT_MS = 3_000;
/** The same when the exporter has left all feeds, or never got this one: it may be starting again. ms. */
const LONG_IDLE_LIMIT_MS = 60_000;
/** Of a kind that cannot be read: client-go waits for up to 60 s between two lists that fail. ms. */
const OUTAGE_IDLE_LIMIT_MS = 150_000;

export interface FeedRegistryOptions {
  readonly context: FeedContext;
  readonly table: SlotTable;
  readonly past: ExporterPast;
  /** Kinds of custom-resource-state: only their CustomResourceDefinitions are shown to change. */
  readonly customResources: readonly CustomResourceKind[];
  /** What each state of an object of a sharded feed tells the exporter; absent: something new. */
  readonly eventFilter?: FeedSlots['eventFilter'] | undefined;
  /** How long news of CRDs are still to be kept from the exporter, ms. */
  readonly crdDelay: () => number;
}

interface OpenFeed {
  readonly feed: Feed;
  readonly abort: AbortController;
  readonly done: Promise<void>;
}

/** The feeds that the exporter has asked for: opens them, and closes those that it has left. */
export class FeedRegistry implements FeedDirectory {
  readonly #options: FeedRegistryOptions;
  readonly #crdContext: FeedContext;
  readonly #logger: Logger;
  readonly #feeds = new Map<string, OpenFeed>();

  constructor(options: FeedRegistryOptions) {
    const { context, crdDelay } = options;
    this.#options = options;
    this.#logger = context.logger;
    this.#crdContext = { ...context, upstream: delayedUpstream(context.upstream, crdDelay) };
  }

  all(): Feed[] {
    return Array.from(this.#feeds.values(), ({ feed }) => feed);
  }

  assigned(signal: AbortSignal): Promise<void> {
    return this.#options.table.assigned(signal);
  }

  isAssigned(): boolean {
    return this.#options.table.assignment !== undefined;
  }

  roles(): SlotRoles | undefined {
    return this.#options.table.roles;
  }

  noteStart(key: FeedKey): void {
    this.#options.past.noteStart(resourceName(key), this.find(key)?.outage !== undefined);
  }

  outlook(askedAt: number): StartOutlook {
    // Without custom-resource-state an exporter does not look at CRDs.
    if (this.#options.customResources.length === 0) return 'kept';
    return startOutlook(exporterTimes(this.all(), this.#options.past), askedAt, this.#now());
  }

  noteLeft(): void {
    this.all()
      .find(({ isQuiet }) => isQuiet)
      ?.use.noteLeft();
  }

  noteResume(): void {
    this.#options.past.noteResume();
  }

  find(key: FeedKey): Feed | undefined {
    return this.#feeds.get(feedId(key))?.feed;
  }

  open(key: FeedKey, resumeFrom?: string): Feed {
    const known = this.find(key);
    if (known !== undefined) return known;
    const { table, past, customResources, eventFilter } = this.#options;
    if (table.assignment === undefined) throw new Error('a feed was opened before the first assignment');
    const { slotCount, shardBy } = table.assignment;
    const isCrds = isCustomResourceDefinitions(key);
    const slots = isCrds
      ? crdSlots(customResources)
      : { slotCount, shardBy, slotHash: slotHashOf(shardBy, slotCount), eventFilter };
    const context = isCrds ? this.#crdContext : this.#options.context;
    const feed = new Feed(key, slots, context, resumeFrom, resumeFrom !== undefined && past.initialSyncComplete);
    feed.outage = past.outageOf(feed.resource);
    const abort = new AbortController();
    const done = feed.run(abort.signal).catch((error: unknown) => {
      this.#logger.error({ feed: feed.name, err: error }, 'a feed failed: giving it up and ending its watches');
      abort.abort();
      this.#feeds.delete(feed.id);
    });
    this.#feeds.set(feed.id, { feed, abort, done });
    context.onChange();
    return feed;
  }

  /** Closes the feeds that the exporter has left. */
  closeIdle(): void {
    const now = this.#now();
    const someUsed = this.all().some(({ isUsed }) => isUsed);
    for (const { feed, abort } of this.#feeds.values()) {
      if (feed.isUsed) {
        feed.use.noteUse();
        continue;
      }
      const isLeft = someUsed && feed.state?.everSubscribed === true;
      const usual = isLeft ? IDLE_LIMIT_MS : LONG_IDLE_LIMIT_MS;
      const limit = feed.outage === undefined ? usual : OUTAGE_IDLE_LIMIT_MS;
      if (now - feed.use.idleSince < limit) continue;
      this.#logger.info({ feed: feed.name }, 'closed a feed that the exporter has left');
      this.#feeds.delete(feed.id);
      abort.abort();
      // Should it come again, it may be another kind under the same name.
      const { group, version, resource } = feed.key;
      this.#options.context.kinds.forget(group, version, resource);
    }
  }

  /** Ends all feeds, and the watches on them. */
  async end(): Promise<void> {
    for (const { abort } of this.#feeds.values()) abort.abort();
    await Promise.all(Array.from(this.#feeds.values(), ({ done }) => done));
  }

  #now(): number {
    return this.#options.context.clock.monotonic();
  }
}
