import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Logger } from '@shard-controller/shared/observability';
import type { Clock } from '@shard-controller/shared/runtime';
import { type FeedState, resumeExporter } from '../feed/books/index.ts';
import type { Feed } from '../feed/follow/index.ts';
import { acceptedForms, holdsNothing, type ReadQuery, sendStatus } from '../http/index.ts';
import type { SlotRoles } from '../slots/index.ts';
import { type CollectionAddress, type FeedKey, feedKeyOf } from '../upstream/index.ts';
import { isWellFormedVersion, jsonCodec } from '../wire/index.ts';
import type { StartOutlook } from './exporter-lifecycle.ts';

/** What the endpoint needs of the data plane around it. */
export interface FeedDirectory {
  /** Resolves when the first assignment is known, or `signal` aborts. */
  assigned(signal: AbortSignal): Promise<void>;
  isAssigned(): boolean;
  roles(): SlotRoles | undefined;
  find(key: FeedKey): Feed | undefined;
  /** The exporter asks from nothing: it has just started, unless it has never got anything of this kind. */
  noteStart(key: FeedKey): void;
  /** What becomes of a watch that the exporter asked for, from nothing, at `askedAt`; monotonic ms. */
  outlook(askedAt: number): StartOutlook;
  /** The exporter has left a watch that was kept silent. */
  noteLeft(): void;
  /** The exporter is resumed: it continues from what another process sent it. */
  noteResume(): void;
  /** The feed for this key; a new one follows `resumeFrom`, or the present when that is undefined. */
  open(key: FeedKey, resumeFrom?: string): Feed;
}

export interface ExporterReadsOptions {
  readonly feeds: FeedDirectory;
  readonly logger: Logger;
  readonly clock: Clock;
}

/** One list or watch of an exporter. */
export interface ExporterCall {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly signal: AbortSignal;
}

/** `unordered`: versions have no order, so only the API server itself can tell what is newer. */
export type FollowOutcome = 'answered' | 'unordered';

/** A refused first list is held so long before the refusal goes to the exporter: RBAC may be on its way. ms. */
const REFUSAL_PATIENCE_MS = 20_000;
/** How often it is looked whether the exporter will keep what it asks for. ms. */
const OUTLOOK_EVERY_MS = 100;
/** A subscription that was left so long is abandoned when the exporter starts over on the same feed. ms. */
const ABANDONED_MS = 2_000;

/** The ways by which an exporter fills and follows its store, each answered from a feed. */
export class ExporterReads {
  readonly #options: ExporterReadsOptions;

  constructor(options: ExporterReadsOptions) {
    this.#options = options;
  }

  /** Answers a read from its feed, unless that cannot tell what is newer. */
  async follow(call: ExporterCall, address: CollectionAddress, read: ReadQuery): Promise<FollowOutcome> {
    const { request, response, signal } = call;
    const { feeds } = this.#options;
    const { isWatch, wantsInitialEvents, resourceVersion: version } = read;
    const isCrds = isCustomResourceDefinitions(address);
    const key = feedKeyOf(address, read.parameters, acceptedForms(request.headers.accept).header);
    const startsAnew = holdsNothing(read);
    // An exporter that holds objects and meets a worker that knows nothing yet has to keep them and come back.
    if (!startsAnew && !feeds.isAssigned()) {
      tooEarly(response, 'the worker has no assignment yet');
      return 'answered';
    }
    if (startsAnew && !isCrds) feeds.noteStart(key);
    if (isWatch && !startsAnew && !wantsInitialEvents) {
      await this.#resume(response, key, version, signal);
      return 'answered';
    }
    await feeds.assigned(signal);
    if (signal.aborted) return 'answered';
    if (startsAnew && !isCrds && !(await this.#isKept(call, key, isWatch))) return 'answered';
    const feed = feeds.open(key);
    feed.noteStart(startsAnew);
    const state = await this.#opened(feed, response, signal);
    if (state === undefined || signal.aborted) return 'answered';
    if (!isWellFormedVersion(state.position)) return 'unordered';
    const streamed = startsAnew && !isCrds;
    if (isWatch) this.#watch(response, feed, state, streamed, wantsInitialEvents);
    else this.#list(response, feed, state, streamed);
    return 'answered';
  }

  /**
   * Resolves true once it is certain that the exporter keeps what it asks for. Where it is going to drop everything with
   * its second start, nothing is read for its first: its watch is open and says nothing.
   */
  async #isKept({ response, signal }: ExporterCall, key: FeedKey, isWatch: boolean): Promise<boolean> {
    const { feeds, clock } = this.#options;
    const askedAt = clock.monotonic();
    for (let before: StartOutlook = 'unknown'; ; ) {
      if (signal.aborted) {
        if (before === 'dropped') feeds.noteLeft();
        return false;
      }
      const outlook = feeds.outlook(askedAt);
      if (outlook === 'kept') break;
      // One that served an exporter before is not closed meanwhile.
      feeds.find(key)?.use.noteUse();
      // Only at the second look: one of the second start may be here before the others of the first have gone.
      if (outlook === 'dropped' && before === 'dropped' && isWatch && !response.headersSent) {
        // Every client takes JSON, and nothing follows.
        response.writeHead(200, { 'content-type': jsonCodec.watchContentType });
        response.flushHeaders();
      }
      before = outlook;
      await clock.sleep(OUTLOOK_EVERY_MS, signal);
    }
    // It has kept it after all: with its next request it gets everything.
    if (response.headersSent) response.end();
    return !response.headersSent;
  }

  /** The feed's state once it is open; otherwise the request is answered with why not. */
  async #opened(feed: Feed, response: ServerResponse, signal: AbortSignal): Promise<FeedState | undefined> {
    while (!signal.aborted) {
      await feed.use.whileWaiting(() =>
        feed.opened(AbortSignal.any([signal, AbortSignal.timeout(REFUSAL_PATIENCE_MS)])),
      );
      if (feed.state !== undefined) return feed.state;
      if (feed.refusal !== undefined) {
        sendStatus(response, feed.refusal.status, feed.refusal.reason, feed.refusal.message);
        return undefined;
      }
    }
    return undefined;
  }

  /** A watch that starts from nothing, or one that wants everything because it lists again. */
  #watch(response: ServerResponse, feed: Feed, state: FeedState, streamed: boolean, wantsInitialEnd: boolean): void {
    dropAbandoned(state);
    const subscription = state.subscribe();
    startWatch(response, state);
    if (streamed) {
      if (wantsInitialEnd) subscription.bookmark(state.position, true);
    } else subscription.closesInitialEvents = wantsInitialEnd;
    subscription.attach(response);
    subscription.flush();
    feed.adopt(subscription);
  }

  #list(response: ServerResponse, feed: Feed, state: FeedState, streamed: boolean): void {
    dropAbandoned(state);
    const subscription = state.subscribe();
    const answer = (objects: readonly Buffer[], version: string): void => {
      const body = state.codec.list(state.kind, version, objects);
      response.writeHead(200, { 'content-type': state.codec.listContentType, 'content-length': body.length });
      response.end(body);
    };
    if (streamed) {
      subscription.expect(state.position);
      answer([], state.position);
    } else subscription.collect(answer);
    // After a list is given up, no client comes for the rest.
    response.on('close', () => {
      if (!response.writableFinished) subscription.close();
    });
    feed.adopt(subscription);
  }

  /** A watch that continues from a resourceVersion: an acknowledgement, or an exporter older than this process. */
  async #resume(response: ServerResponse, key: FeedKey, version: string, signal: AbortSignal): Promise<void> {
    const { feeds, logger } = this.#options;
    const feed = feeds.find(key) ?? feeds.open(key, version);
    const { state } = feed;
    const known = state?.awaiting(version);
    // CRDs say nothing of what its stores hold.
    if (known === undefined && !isCustomResourceDefinitions(key)) feeds.noteResume();
    if (state === undefined) return tooEarly(response, `${feed.name} is not open yet`);
    if (known !== undefined) {
      startWatch(response, state);
      known.attach(response);
      return;
    }
    if (!state.filled) return tooEarly(response, `${feed.name} is not loaded yet`);
    const isReached = await feed.use.whileWaiting(() => feed.reaches(version, signal)).catch(() => undefined);
    if (signal.aborted) return;
    if (isReached === undefined) return tooEarly(response, `${feed.name} does not reach the API server`);
    // The client has lost the thread of whatever was left here.
    for (const left of state.subscriptions.filter(({ awaitedVersion }) => awaitedVersion !== undefined)) left.close();
    const subscription = isReached ? resumeExporter(state, version, feeds.roles()) : undefined;
    if (subscription === undefined) {
      logger.info(
        { feed: feed.name, version },
        'cannot tell which objects the exporter holds as of this version: it has to list again',
      );
      sendStatus(response, 410, 'Expired', `resourceVersion ${version} is too old for ${feed.name}: list again`);
      return;
    }
    logger.info({ feed: feed.name, version }, 'resumed an exporter that this process had not served before');
    startWatch(response, state);
    subscription.attach(response);
    subscription.flush();
    feed.adopt(subscription);
  }
}

export function isCustomResourceDefinitions(address: Pick<CollectionAddress, 'group' | 'resource'>): boolean {
  return address.group === 'apiextensions.k8s.io' && address.resource === 'customresourcedefinitions';
}

function startWatch(response: ServerResponse, state: FeedState): void {
  response.writeHead(200, { 'content-type': state.codec.watchContentType, 'cache-control': 'no-cache' });
  response.flushHeaders();
}

function dropAbandoned(state: FeedState): void {
  for (const subscription of state.subscriptions.filter((each) => each.awaitedMs() > ABANDONED_MS))
    subscription.close();
}

export function tooEarly(response: ServerResponse, why: string): void {
  sendStatus(response, 429, 'TooManyRequests', `shard-controller worker: ${why}; try again`, 1);
}
