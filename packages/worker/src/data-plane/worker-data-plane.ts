import type { Server } from 'node:http';
import { textToSlots } from '@shard-controller/shared/hashing';
import type { UnavailableKind, VerifyReply, VerifyRequest } from '@shard-controller/shared/contracts';
import { SlotView } from '../client-view/index.ts';
import {
  type Caller,
  ExporterApi,
  type FeedDirectory,
  isCustomResourceDefinitions,
  type StartOutlook,
} from '../exporter-api/index.ts';
import type { Subscription } from '../feed/books/index.ts';
import { definitionSlots, Feed, type FeedContext, History, type Outage } from '../feed/follow/index.ts';
import { HandoverLedger, Verifier } from '../handover/index.ts';
import { listen, newServer, readRequestLine } from '../http/index.ts';
import { exporterDiet, unknownVersion } from '../pruning/index.ts';
import { Exposure, planSlots, type SlotAssignment, slotHashOf, SlotRole, type SlotRoles } from '../slots/index.ts';
import {
  feedId,
  type FeedKey,
  KindCatalog,
  pacedUpstream,
  parseApiPath,
  plainUpstream,
  resourceName,
  Semaphore,
} from '../upstream/index.ts';
import type { DataPlane, DataPlaneOptions, DataPlaneStatus } from './data-plane.ts';
import { definitionsPause, type FeedCensus, outlookOf, takeFeedCensus } from './feed-census.ts';
import { Inspection } from './inspection.ts';
import { KindOutages } from './kind-outages.ts';

const TICK_MS = 500;
const PROBE_MS = 5_000;
const PROBE_TIMEOUT_MS = 3_000;
/** After a probe without an answer: one lost answer is no outage. ms. */
const PROBE_AGAIN_MS = 500;
/** client-go's back-off between two watches ends at 30 s; who stays away longer does not come back. ms. */
const AWAIT_LIMIT_MS = 60_000;
/** An exporter that takes nothing for so long while its queue is full is cut off; it then starts over. ms. */
const STALL_LIMIT_MS = 60_000;
/** A feed that the exporter has left, while it uses others, is closed. ms. */
const IDLE_LIMIT_MS = 3_000;
/** The same when the exporter has left all feeds, or never got this one: it may be starting again. ms. */
const LONG_IDLE_LIMIT_MS = 60_000;
/** Of a kind that cannot be read: client-go waits for up to 60 s between two lists that fail. ms. */
const OUTAGE_IDLE_LIMIT_MS = 150_000;
const PARALLEL_RELISTS = 4;
/** A feed that says nothing is compared with a consistent read so often; one feed at a time, each TICK_MS. ms. */
const COMPARE_EVERY_MS = 8_000;
const PARALLEL_PROOFS = 16;

/** The data plane of a worker: all feeds of one exporter, the slots it owns, and the endpoint that it talks to. */
class WorkerDataPlane implements DataPlane, FeedDirectory {
  readonly inspection: Inspection;
  readonly #options: DataPlaneOptions;
  readonly #feeds = new Map<
    string,
    { readonly feed: Feed; readonly abort: AbortController; readonly done: Promise<void> }
  >();
  readonly #ledger = new HandoverLedger();
  readonly #outages = new KindOutages<Feed>();
  /** Kinds that the process before this one could not read, by name, until their feeds are opened. */
  readonly #presumed = new Map<string, UnavailableKind>();
  readonly #verifier: Verifier;
  readonly #context: FeedContext;
  readonly #definitionsContext: FeedContext;
  readonly #api: ExporterApi;
  readonly #view: SlotView;
  readonly #listeners = new Set<() => void>();
  readonly #assigned = Promise.withResolvers<void>();
  #assignment: SlotAssignment | undefined;
  #roles: SlotRoles | undefined;
  #exposure: Exposure | undefined;
  #notifying = false;
  #said = '';
  #omitted: string | undefined;
  #isInterrupted = false;
  /** When an exporter from before this process came back; until one starts from nothing. Monotonic ms. */
  #resumedAt: number | undefined;
  /** The exporter has shown everything since it last started from nothing, here or before this process. */
  #wasWhole = true;
  #probedAt: number;

  constructor(options: DataPlaneOptions) {
    this.#options = options;
    this.#verifier = new Verifier(options.clock);
    this.#probedAt = options.clock.monotonic();
    const upstream = plainUpstream(options.upstream);
    const random = options.random ?? Math.random;
    this.#context = {
      upstream,
      kinds: new KindCatalog(upstream),
      logger: options.logger,
      clock: options.clock,
      random,
      metrics: options.metrics,
      history: new History(),
      relists: new Semaphore(PARALLEL_RELISTS),
      brokenRelists: new Semaphore(PARALLEL_RELISTS),
      proofs: new Semaphore(PARALLEL_PROOFS),
      roles: () => this.#roles,
      pushdown: options.pushdown ?? 'auto',
      withholds: options.fault === 'omit-one' ? (uid, slot) => this.#omitsOne(uid, slot) : undefined,
      diet: (key, kind, encoding) => {
        const { diet, customResources = [] } = options;
        return diet === undefined ? undefined : exporterDiet(diet, customResources, key, kind, encoding);
      },
      silenceMs: options.silenceMs,
      lateMs: options.lateMs,
      onChange: () => this.#changed(),
    };
    const paced = pacedUpstream(upstream, () => this.#definitionsPause());
    this.#definitionsContext = { ...this.#context, upstream: paced };
    const unknown = options.diet === undefined ? undefined : unknownVersion(options.diet.version);
    if (unknown !== undefined) options.logger.warn(unknown);
    const { kinds, logger } = this.#context;
    this.#view = new SlotView({ upstream, kinds, logger, random, exposure: () => this.#shown() });
    this.#context.history.onReturn(() => this.#view.forget());
    this.#api = new ExporterApi({ ...options, kinds, feeds: this, view: this.#view });
    this.inspection = new Inspection({
      clock: options.clock,
      feeds: () => this.#everyFeed(),
      assignment: () => this.#assignment,
      roles: () => this.#roles,
      probedAt: () => this.#probedAt,
    });
  }

  distrustExporter(): void {
    this.#wasWhole = false;
  }

  presumeUnavailable(kinds: readonly UnavailableKind[]): void {
    for (const unavailable of kinds) this.#presumed.set(unavailable.kind, unavailable);
  }

  applyAssignment(assignment: SlotAssignment): void {
    const before = this.#roles;
    this.#roles = planSlots(before, assignment);
    this.#assignment = assignment;
    const exposure = Exposure.of(this.#roles, slotHashOf(assignment.shardBy, assignment.slotCount));
    if (!exposure.equals(this.#exposure)) {
      this.#exposure = exposure;
      this.#view.exposureChanged();
    }
    const kept = this.#keptSlots() - (assignment.keep?.length ?? 0);
    if (kept > 0) {
      this.#options.logger.warn(
        { epoch: assignment.epoch, slots: kept },
        'the assignment drops slots without releasing them: they stay exposed until a release names them',
      );
    }
    for (const { feed } of this.#feeds.values()) feed.plan();
    if (before === undefined) this.#assigned.resolve();
    this.#changed();
  }

  onChange(callback: () => void): () => void {
    this.#listeners.add(callback);
    return () => {
      this.#listeners.delete(callback);
    };
  }

  status(): DataPlaneStatus {
    const census = this.#census();
    const assignment = this.#assignment;
    const { warm, warmReason, startsOver } = census.warmth(assignment !== undefined);
    // Noted where it is told: whoever hears it scrapes the exporter, and a cut a moment later must not make that partial.
    if (warm) this.#wasWhole = true;
    const owned = assignment?.owned ?? [];
    const handovers = this.#ledger.handovers(assignment, census, this.#options.clock.now());
    // Before anybody hears of the acknowledgement that it waits for.
    if (handovers.some(({ state }) => state === 'acknowledged')) this.#injectStop();
    return {
      feeds: { synced: census.synced, total: census.total, oldestProofMs: census.oldestProofMs(this.#probedAt) },
      slots: {
        assigned: owned.length,
        acknowledged: census.acknowledgedSlots(owned),
        shown: census.shownSlots(owned),
      },
      handovers,
      exposedSlots: census.exposedSlots(this.#roles),
      warm,
      warmReason,
      startsOver,
      queueDepth: census.queueDepth(),
      objects: census.objectCount(),
      objectsByResource: census.objectsByResource(),
      keptSlots: this.#keptSlots(),
      unavailable: census.unavailable,
      staleFeeds: census.stale(this.#probedAt),
    };
  }

  async verify(request: VerifyRequest, signal: AbortSignal): Promise<VerifyReply> {
    if (this.#options.fault === 'mute') {
      await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
      throw new Error('verification is not answered: test fault `mute`');
    }
    const { v, migration, slotCount } = request;
    const assignment = this.#assignment;
    const refusal = { v, migration, settled: false, kinds: [] };
    if (assignment === undefined) return { ...refusal, error: 'this worker has no assignment' };
    if (assignment.slotCount !== slotCount) {
      return { ...refusal, error: `this worker has ${assignment.slotCount} slots, not ${slotCount}` };
    }
    const { exported, settled } = this.#census();
    const slots = new Set(textToSlots(request.slots, slotCount));
    return this.#verifier.answer(request, slots, { feeds: exported, settled }, signal);
  }

  async run(signal: AbortSignal): Promise<void> {
    const { host, port, firstList, clientPort, onListening, onClientListening, logger } = this.#options;
    const own = this.#server(firstList === 'Streamed' ? 'exporter' : 'client');
    const servers = [own];
    const at = await listen(own, host, port, logger);
    logger.info({ host, port: at }, 'the API endpoint of the exporter is listening');
    try {
      if (clientPort !== undefined) {
        const clients = this.#server('client');
        const clientsAt = await listen(clients, host, clientPort, logger);
        servers.push(clients);
        logger.info({ host, port: clientsAt }, 'the API endpoint of other clients is listening');
        onListening?.(at);
        onClientListening?.(clientsAt);
      } else onListening?.(at);
      await Promise.all([this.#tick(signal), this.#probe(signal)]);
    } finally {
      // The listener goes first: an exporter whose watch ends asks again at once, and "connection refused" makes it
      // wait with what it has, while a connection that is accepted and reset makes it list anew.
      const closed = servers.map((server) => new Promise<void>((resolve) => server.close(() => resolve())));
      for (const server of servers) server.closeIdleConnections();
      for (const { abort } of this.#feeds.values()) abort.abort();
      await Promise.all(Array.from(this.#feeds.values(), ({ done }) => done));
      for (const server of servers) server.closeAllConnections();
      await Promise.all(closed);
    }
  }

  #server(caller: Caller): Server {
    return newServer((request, response) => {
      if (caller === 'exporter') this.#options.metrics?.exporterRequest?.(requestedResource(request.url));
      void this.#api.handle(request, response, caller);
    });
  }

  /** What is shown now; nothing before the first assignment. */
  #shown(): Exposure {
    this.#exposure ??= new Exposure(() => 0, Uint8Array.of(0));
    return this.#exposure;
  }

  // ---- FeedDirectory -------------------------------------------------------------------------------------------

  assigned(signal: AbortSignal): Promise<void> {
    return Promise.race([
      this.#assigned.promise,
      new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true })),
    ]);
  }

  isAssigned(): boolean {
    return this.#assignment !== undefined;
  }

  noteStart(key: FeedKey): void {
    // Of a kind that cannot be read an exporter asks for everything again and again, however long it has been there.
    if (this.find(key)?.outage !== undefined || this.#presumed.has(resourceName(key))) return;
    this.#resumedAt = undefined;
    this.#wasWhole = false;
  }

  outlook(askedAt: number): StartOutlook {
    // Without custom-resource-state an exporter does not look at definitions.
    if ((this.#options.customResources ?? []).length === 0) return 'kept';
    return outlookOf(this.#everyFeed(), askedAt, this.#options.clock.monotonic());
  }

  noteLeft(): void {
    const definitions = this.#everyFeed().find(({ isQuiet }) => isQuiet);
    if (definitions !== undefined && definitions.leftAt <= definitions.startedAt) {
      definitions.leftAt = this.#options.clock.monotonic();
    }
  }

  noteResume(): void {
    this.#resumedAt ??= this.#options.clock.monotonic();
  }

  roles(): SlotRoles | undefined {
    return this.#roles;
  }

  find(key: FeedKey): Feed | undefined {
    return this.#feeds.get(feedId(key))?.feed;
  }

  open(key: FeedKey, resumeFrom?: string): Feed {
    const known = this.find(key);
    if (known !== undefined) return known;
    const assignment = this.#assignment;
    if (assignment === undefined) throw new Error('a feed was opened before the first assignment');
    const { slotCount, shardBy } = assignment;
    const isDefinitions = isCustomResourceDefinitions(key);
    const slots = isDefinitions
      ? definitionSlots(this.#options.customResources ?? [])
      : { slotCount, shardBy, slotHash: slotHashOf(shardBy, slotCount) };
    const context = isDefinitions ? this.#definitionsContext : this.#context;
    const feed = new Feed(key, slots, context, resumeFrom, resumeFrom !== undefined && this.#wasWhole);
    feed.outage = this.#presumedOutage(feed.resource);
    const abort = new AbortController();
    const done = feed.run(abort.signal).catch((error: unknown) => {
      this.#options.logger.error({ feed: feed.name, err: error }, 'a feed failed: giving it up and ending its watches');
      abort.abort();
      this.#feeds.delete(feed.id);
    });
    this.#feeds.set(feed.id, { feed, abort, done });
    this.#changed();
    return feed;
  }

  // ---- upkeep --------------------------------------------------------------------------------------------------

  async #tick(signal: AbortSignal): Promise<void> {
    const { clock } = this.#options;
    while (!signal.aborted) {
      await clock.sleep(TICK_MS, signal);
      for (const { feed } of this.#feeds.values()) {
        feed.report();
        this.#dropLost(feed.state?.subscriptions ?? []);
        feed.tidy();
      }
      this.#compareOne(clock.monotonic());
      this.inspection.observe();
      this.#observeOutages();
      this.#closeIdle(clock.monotonic());
      this.#reportInterruptions();
      this.#changed();
    }
  }

  #observeOutages(): void {
    const { clock, logger } = this.#options;
    const before = new Map(this.#everyFeed().map((feed) => [feed, feed.outage]));
    this.#outages.observe([...before.keys()], clock.monotonic(), clock.now(), this.#probedAt);
    for (const [{ name, resource, outage }, was] of before) {
      if (outage !== undefined && was === undefined) {
        const { cause, problem } = outage;
        logger.warn({ feed: name, cause, problem }, 'a kind cannot be read: continuing without it');
      } else if (outage === undefined && was !== undefined) {
        this.#presumed.delete(resource);
        logger.info({ feed: name }, 'a kind is complete again');
      }
    }
  }

  /** What the process before this one said of a kind. It has to prove the contrary. */
  #presumedOutage(kind: string): Outage | undefined {
    const presumed = this.#presumed.get(kind);
    if (presumed === undefined) return undefined;
    const { cause, message: problem, since: at, mending: isMending = false } = presumed;
    const { clock } = this.#options;
    return { since: clock.monotonic() - Math.max(0, clock.now() - at), at, cause, problem, isMending };
  }

  /** Asks for where the collection stands whose feed has been quiet, and was not compared, for the longest time. */
  #compareOne(now: number): void {
    const quietSince = (feed: Feed): number => Math.max(feed.comparedAt, feed.lastFrameAt);
    const [next] = this.#everyFeed()
      .filter((feed) => feed.connected && !feed.halted && now - quietSince(feed) >= COMPARE_EVERY_MS)
      .sort((a, b) => quietSince(a) - quietSince(b));
    next?.checkHistory();
  }

  /** One line when feeds are cut off or deaf, one when all are back: an API server that restarts cuts them all. */
  #reportInterruptions(): void {
    const stale = new Set(this.#census().stale(this.#probedAt));
    const cut = this.#everyFeed().filter(
      (feed) =>
        !feed.halted &&
        feed.outage === undefined &&
        ((!feed.connected && feed.problem !== undefined) || stale.has(feed.name)),
    );
    if (cut.length > 0 === this.#isInterrupted) return;
    this.#isInterrupted = cut.length > 0;
    const { logger } = this.#options;
    const problem =
      cut.find((feed) => feed.problem !== undefined)?.problem ??
      'the API server does not answer: it is frozen, or packets are lost';
    if (cut.length === 0) logger.info({ feeds: this.#feeds.size }, 'all feeds follow the API server');
    else logger.warn({ feeds: cut.length, of: this.#feeds.size, problem }, 'feeds are cut off from the API server');
  }

  #dropLost(subscriptions: readonly Subscription[]): void {
    const newest = Math.max(0, ...subscriptions.map(({ id }) => id));
    for (const subscription of subscriptions.slice()) {
      // Whoever asked anew on the same feed does not come back for what it left.
      const limit = subscription.id < newest ? 5_000 : AWAIT_LIMIT_MS;
      if (subscription.awaitedMs() > limit || subscription.stalledMs() > STALL_LIMIT_MS) {
        this.#options.logger.warn(
          { awaitedMs: subscription.awaitedMs(), stalledMs: subscription.stalledMs() },
          'giving up a watch of the exporter: the exporter did not come back or read nothing',
        );
        subscription.close();
      }
    }
  }

  #closeIdle(now: number): void {
    const isUsed = ({ feed }: { readonly feed: Feed }): boolean =>
      feed.waiting > 0 || (feed.state?.subscriptions.length ?? 0) > 0;
    const someUsed = [...this.#feeds.values()].some(isUsed);
    for (const entry of this.#feeds.values()) {
      const { feed, abort } = entry;
      if (isUsed(entry)) {
        feed.noteUse();
        continue;
      }
      const isLeft = someUsed && feed.state?.everSubscribed === true;
      const usual = isLeft ? IDLE_LIMIT_MS : LONG_IDLE_LIMIT_MS;
      const limit = feed.outage === undefined ? usual : OUTAGE_IDLE_LIMIT_MS;
      if (now - feed.idleSince < limit) continue;
      this.#options.logger.info({ feed: feed.name }, 'closed a feed that the exporter has left');
      this.#feeds.delete(feed.id);
      abort.abort();
      // Should it come again, it may be another kind under the same name.
      const { group, version, resource } = feed.key;
      this.#context.kinds.forget(group, version, resource);
    }
  }

  async #probe(signal: AbortSignal): Promise<void> {
    const { clock, upstream } = this.#options;
    while (!signal.aborted) {
      const startedAt = clock.monotonic();
      try {
        const response = await upstream.stream({
          path: '/livez',
          signal: AbortSignal.any([signal, AbortSignal.timeout(PROBE_TIMEOUT_MS)]),
          headersTimeoutMs: PROBE_TIMEOUT_MS,
        });
        response.body.on('error', () => {}).resume();
        // Whoever refuses (no right to read /livez, too many requests) is alive.
        if (response.status < 500) this.#probedAt = startedAt;
      } catch {
        // The age of the last proof says it all; feeds report their own connections.
      }
      await clock.sleep(this.#probedAt === startedAt ? PROBE_MS : PROBE_AGAIN_MS, signal);
    }
  }

  #injectStop(): void {
    if (this.#options.fault !== 'stop-feed') return;
    const feeds = this.#everyFeed().filter(({ isQuiet }) => !isQuiet);
    if (feeds.some(({ halted }) => halted)) return;
    // The largest: where no object moves nothing is verified.
    const [largest] = feeds.toSorted((a, b) => (b.state?.index.sentCount ?? 0) - (a.state?.index.sentCount ?? 0));
    largest?.halt();
  }

  /** The same object every time, or a second load of the exporter would bring it after all. */
  #omitsOne(uid: string, slot: number): boolean {
    if (this.#roles?.[slot] !== SlotRole.Warm) return false;
    this.#omitted ??= uid;
    return uid === this.#omitted;
  }

  #everyFeed(): Feed[] {
    return Array.from(this.#feeds.values(), ({ feed }) => feed);
  }

  #census(): FeedCensus {
    return takeFeedCensus(this.#everyFeed(), this.#options.clock.monotonic(), this.#resumedAt, this.#wasWhole);
  }

  #definitionsPause(): number {
    return definitionsPause(this.#everyFeed(), this.status().warm, this.#options.clock.monotonic());
  }

  #keptSlots(): number {
    let kept = 0;
    for (const role of this.#roles ?? []) if (role === SlotRole.Kept) kept++;
    return kept;
  }

  /** Everything whose change is worth a notice. */
  #signature(status: DataPlaneStatus): string {
    const { handovers, slots, warmReason, exposedSlots, feeds, unavailable, staleFeeds } = status;
    const states = handovers.map(({ migration, state, error, without }) => [migration, state, error, without]);
    return JSON.stringify([
      states,
      slots,
      warmReason,
      exposedSlots,
      feeds.synced,
      feeds.total,
      unavailable,
      staleFeeds,
    ]);
  }

  /** Several changes of one turn of the event loop are one notice: it looks at every slot of every feed. */
  #changed(): void {
    if (this.#notifying) return;
    this.#notifying = true;
    setImmediate(() => {
      this.#notifying = false;
      const signature = this.#signature(this.status());
      if (signature === this.#said) return;
      this.#said = signature;
      for (const listener of this.#listeners) listener();
    });
  }
}

function requestedResource(url = ''): string {
  const line = readRequestLine(url);
  if (line.type === 'bad') return 'other';
  const target = parseApiPath(line.segments);
  return target.type === 'collection' ? resourceName(target.address) : 'other';
}

/** The data plane for these options; it serves nothing before `run`. */
export function createDataPlane(options: DataPlaneOptions): DataPlane {
  return new WorkerDataPlane(options);
}
