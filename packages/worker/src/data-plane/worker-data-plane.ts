import { textToSlots } from '@shard-controller/shared/hashing';
import type { UnavailableKind, VerifyReply, VerifyRequest } from '@shard-controller/shared/contracts';
import { Semaphore } from '@shard-controller/shared/runtime';
import { SlotView } from '../client-view/index.ts';
import { ExporterApi, exporterTimes, notificationDelay } from '../exporter-api/index.ts';
import { type FeedContext, type FeedSlots, Restores } from '../feed/follow/index.ts';
import { HandoverLedger, Verifier } from '../handover/index.ts';
import { readRequestLine } from '../http/index.ts';
import { prunerFor, unknownVersion } from '../pruning/index.ts';
import type { SlotAssignment } from '../slots/index.ts';
import { ServedKinds, parseApiPath, plainUpstream, resourceName } from '../upstream/index.ts';
import type { DataPlane, DataPlaneOptions, DataPlaneStatus } from './data-plane.ts';
import { Endpoints } from './endpoints.ts';
import { ExporterPast } from './exporter-past.ts';
import { type FeedsStatus, feedsStatus } from './feeds-status.ts';
import { FeedRegistry } from './feed-registry.ts';
import { FeedUpkeep } from './feed-upkeep.ts';
import { Inspection } from './inspection.ts';
import { ServerProbe } from './server-probe.ts';
import { SlotTable } from './slot-table.ts';
import { StatusNotices } from './status-notices.ts';

const TICK_MS = 500;
const PARALLEL_RELISTS = 4;
const PARALLEL_PROOFS = 16;

/** The data plane of a worker: all feeds of one exporter, the slots it owns, and the endpoint that it talks to. */
export class WorkerDataPlane implements DataPlane {
  readonly inspection: Inspection;
  readonly #options: DataPlaneOptions;
  readonly #table = new SlotTable();
  readonly #past: ExporterPast;
  readonly #feeds: FeedRegistry;
  readonly #upkeep: FeedUpkeep;
  readonly #probe: ServerProbe;
  readonly #ledger = new HandoverLedger();
  readonly #verifier: Verifier;
  readonly #view: SlotView;
  readonly #endpoints: Endpoints;
  readonly #notices = new StatusNotices(() => this.status());

  /** @param eventFilter what each state of an object tells the exporter, where that is not always something new. */
  constructor(options: DataPlaneOptions, eventFilter?: FeedSlots['eventFilter']) {
    const { clock, logger, host, port, clientPort, customResources = [], pruning } = options;
    this.#options = options;
    this.#verifier = new Verifier(clock);
    this.#past = new ExporterPast(clock);
    const context = this.#newContext(options);
    const { upstream, kinds, random } = context;
    this.#probe = new ServerProbe(upstream, clock);
    this.#feeds = new FeedRegistry({
      context,
      table: this.#table,
      past: this.#past,
      customResources,
      eventFilter,
      crdDelay: () =>
        notificationDelay(exporterTimes(this.#feeds.all(), this.#past), this.status().warm, clock.monotonic()),
    });
    this.#upkeep = new FeedUpkeep({
      clock,
      logger,
      past: this.#past,
      probedAt: () => this.#probe.answeredAt,
      stale: () => this.#feedsStatus().stale(this.#probe.answeredAt),
    });
    const unknown = pruning === undefined ? undefined : unknownVersion(pruning.version);
    if (unknown !== undefined) logger.warn(unknown);
    this.#view = new SlotView({ upstream, kinds, logger, random, exposure: () => this.#table.exposure });
    context.restores.onRestore(() => this.#view.forget());
    const api = new ExporterApi({ ...options, kinds, feeds: this.#feeds, view: this.#view });
    this.#endpoints = new Endpoints({
      host,
      port,
      clientPort,
      logger,
      answer: (request, response, caller) => {
        if (caller === 'exporter') options.metrics?.exporterRequest?.(requestedResource(request.url));
        void api.handle(request, response, caller);
      },
    });
    this.inspection = new Inspection({
      clock,
      feeds: () => this.#feeds.all(),
      assignment: () => this.#table.assignment,
      roles: () => this.#table.roles,
      probedAt: () => this.#probe.answeredAt,
    });
  }

  distrustExporter(): void {
    this.#past.distrust();
  }

  presumeUnavailable(kinds: readonly UnavailableKind[]): void {
    this.#past.presume(kinds);
  }

  applyAssignment(assignment: SlotAssignment): void {
    if (this.#table.apply(assignment)) this.#view.exposureChanged();
    const kept = this.#table.kept - (assignment.keep?.length ?? 0);
    if (kept > 0) {
      this.#options.logger.warn(
        { epoch: assignment.epoch, slots: kept },
        'the assignment drops slots without releasing them: they stay exposed until a release names them',
      );
    }
    for (const feed of this.#feeds.all()) feed.plan();
    this.#notices.consider();
  }

  onChange(callback: () => void): () => void {
    return this.#notices.onChange(callback);
  }

  status(): DataPlaneStatus {
    const feeds = this.#feedsStatus();
    const { assignment, roles, kept } = this.#table;
    const { answeredAt } = this.#probe;
    const { warm, warmReason, startsOver } = feeds.warmth(assignment !== undefined);
    // Noted before it is reported: the manager then lets scrapers count, and a cut a moment later must not make that partial.
    if (warm) this.#past.noteSynced();
    const owned = assignment?.owned ?? [];
    return {
      feeds: { synced: feeds.synced, total: feeds.total, oldestProofMs: feeds.oldestProofMs(answeredAt) },
      slots: {
        assigned: owned.length,
        acknowledged: feeds.acknowledgedSlots(owned),
        shown: feeds.shownSlots(owned),
      },
      handovers: this.#ledger.handovers(assignment, feeds, this.#options.clock.now()),
      exposedSlots: feeds.exposedSlots(roles),
      warm,
      warmReason,
      startsOver,
      queueDepth: feeds.queueDepth(),
      objects: feeds.objectCount(),
      objectsByResource: feeds.objectsByResource(),
      keptSlots: kept,
      unavailable: feeds.unavailable,
      staleFeeds: feeds.stale(answeredAt),
    };
  }

  async verify(request: VerifyRequest, signal: AbortSignal): Promise<VerifyReply> {
    const { v, migration, slotCount } = request;
    const { assignment } = this.#table;
    const refusal = { v, migration, settled: false, kinds: [] };
    if (assignment === undefined) return { ...refusal, error: 'this worker has no assignment' };
    if (assignment.slotCount !== slotCount) {
      return { ...refusal, error: `this worker has ${assignment.slotCount} slots, not ${slotCount}` };
    }
    const { exported, settled } = this.#feedsStatus();
    const slots = new Set(textToSlots(request.slots, slotCount));
    return this.#verifier.answer(
      request,
      slots,
      { feeds: exported.map(({ verification }) => verification), settled },
      signal,
    );
  }

  async run(signal: AbortSignal): Promise<void> {
    const { onListening, onClientListening } = this.#options;
    try {
      const { port, clientPort } = await this.#endpoints.open();
      onListening?.(port);
      if (clientPort !== undefined) onClientListening?.(clientPort);
      await Promise.all([this.#tick(signal), this.#probe.run(signal)]);
    } finally {
      await this.#endpoints.close(() => this.#feeds.end());
    }
  }

  async #tick(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.#options.clock.sleep(TICK_MS, signal);
      this.#upkeep.tick(this.#feeds.all());
      this.inspection.observe();
      this.#feeds.closeIdle();
      this.#notices.consider();
    }
  }

  #feedsStatus(): FeedsStatus {
    return feedsStatus(this.#feeds.all(), this.#options.clock.monotonic(), this.#past);
  }

  #newContext(options: DataPlaneOptions): FeedContext {
    const { logger, clock, metrics, pruning, customResources = [], silenceMs } = options;
    const upstream = plainUpstream(options.upstream);
    return {
      upstream,
      kinds: new ServedKinds(upstream),
      logger,
      clock,
      random: options.random ?? Math.random,
      metrics,
      restores: new Restores(),
      relists: new Semaphore(PARALLEL_RELISTS),
      brokenRelists: new Semaphore(PARALLEL_RELISTS),
      proofs: new Semaphore(PARALLEL_PROOFS),
      roles: () => this.#table.roles,
      pushdown: options.pushdown ?? 'auto',
      pruner: (key, kind, encoding) =>
        pruning === undefined ? undefined : prunerFor(pruning, customResources, key, kind, encoding),
      silenceMs,
      onChange: this.#notices.consider,
    };
  }
}

function requestedResource(url = ''): string {
  const line = readRequestLine(url);
  if (line.type === 'bad') return 'other';
  const target = parseApiPath(line.segments);
  return target.type === 'collection' ? resourceName(target.address) : 'other';
}
