import type { IncomingMessage, ServerResponse } from 'node:http';
import { type Clock, errorMessage } from '@shard-controller/shared/runtime';
import type { Logger } from '@shard-controller/shared/observability';
import type { SlotView, ViewRequest } from '../client-view/index.ts';
import { type FeedState, resumeExporter } from '../feed/books/index.ts';
import type { Feed } from '../feed/follow/index.ts';
import {
  acceptedForms,
  holdsNothing,
  isExporterForm,
  pathOf,
  type ReadQuery,
  readQuery,
  readRequestLine,
  sendStatus,
} from '../http/index.ts';
import type { SlotRoles } from '../slots/index.ts';
import {
  type ApiTarget,
  type CollectionAddress,
  type FeedKey,
  feedKeyOf,
  type ServedKinds,
  parseApiPath,
  type ForwardedRequest,
  forward,
  type Upstream,
} from '../upstream/index.ts';
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

export interface ExporterApiOptions {
  readonly upstream: Upstream;
  readonly feeds: FeedDirectory;
  readonly logger: Logger;
  readonly clock: Clock;
  /** Everything that the feeds do not answer. */
  readonly view: SlotView;
  readonly kinds: ServedKinds;
}

/** Who asks: an exporter, whose store is filled and followed by feeds, or any other client. */
export type Caller = 'exporter' | 'client';

/** One request, checked and taken apart. */
interface Call {
  readonly caller: Caller;
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly segments: readonly string[];
  readonly query: URLSearchParams;
  readonly signal: AbortSignal;
}

const SELF_REVIEWS =
  /^\/apis\/(authorization\.k8s\.io\/v1\/selfsubject(access|rules)reviews|authentication\.k8s\.io\/v1\/selfsubjectreviews)$/;
const HEALTH = new Set(['livez', 'readyz', 'healthz']);
/** Discovery and schemas: what kinds there are, never an object. */
const DISCOVERY = /^\/(version|api(\/[^/]+)?|apis(\/[^/]+){0,2}|openapi\/.+)$/;
/** Verbs that were once written as resources. */
const VERBS_AS_RESOURCES = new Set(['watch', 'proxy', 'redirect']);
/** A refused first list is held so long before the refusal goes to the exporter: RBAC may be on its way. ms. */
const REFUSAL_PATIENCE_MS = 20_000;
/** How often it is looked whether the exporter will keep what it asks for. ms. */
const OUTLOOK_EVERY_MS = 100;
/** A subscription that was left so long is abandoned when the exporter starts over on the same feed. ms. */
const ABANDONED_MS = 2_000;

/** The Kubernetes API of this worker's slots, read only. */
export class ExporterApi {
  readonly #options: ExporterApiOptions;

  constructor(options: ExporterApiOptions) {
    this.#options = options;
  }

  /** Answers one request; never throws. */
  async handle(request: IncomingMessage, response: ServerResponse, caller: Caller): Promise<void> {
    const gone = new AbortController();
    response.on('close', () => gone.abort());
    response.on('error', () => gone.abort());
    const line = readRequestLine(request.url ?? '/');
    if (line.type === 'bad') {
      sendStatus(response, 400, 'BadRequest', line.message);
      return;
    }
    try {
      const { segments, query } = line;
      await this.#route({ caller, request, response, segments, query, signal: gone.signal });
    } catch (error) {
      if (gone.signal.aborted) return;
      const said = errorMessage(error);
      this.#options.logger.error({ url: request.url, err: error }, 'a request of the exporter failed');
      sendStatus(response, 500, 'InternalError', `shard-controller worker: ${said}`);
    }
  }

  async #route(call: Call): Promise<void> {
    const { request, response, segments } = call;
    const path = pathOf(segments);
    const method = request.method ?? 'GET';
    if (method === 'POST' && SELF_REVIEWS.test(path)) return this.#pass(call, { method, path, query: {} });
    if (method !== 'GET') {
      sendStatus(
        response,
        405,
        'MethodNotAllowed',
        `${method} ${path} is refused: the watch proxy of shard-controller is read-only; write to the API server itself`,
      );
      return;
    }
    if (HEALTH.has(segments[0] ?? '')) {
      // The exporter's liveness must not hang on the API server: a restart would empty its store.
      response.writeHead(200, { 'content-type': 'text/plain' }).end('ok');
      return;
    }
    const target = parseApiPath(segments);
    if (target.type === 'collection') return this.#collection(call, target.address);
    if (target.type === 'object') return this.#object(call, path, target);
    if (DISCOVERY.test(path)) return this.#pass(call, { method, path, query: discoveryQuery(call.query) });
    sendStatus(
      response,
      403,
      'Forbidden',
      `${path} is refused: the watch proxy of shard-controller serves objects and discovery; ask the API server itself`,
    );
  }

  async #pass({ request, response, signal }: Call, passed: ForwardedRequest): Promise<void> {
    const { upstream, clock } = this.#options;
    return forward(upstream, passed, request, response, clock, signal);
  }

  async #object(call: Call, path: string, target: Extract<ApiTarget, { type: 'object' }>): Promise<void> {
    const { address, name, subresource } = target;
    if (subresource !== undefined || VERBS_AS_RESOURCES.has(address.resource)) {
      sendStatus(
        call.response,
        403,
        'Forbidden',
        `${path} is refused: the watch proxy of shard-controller serves no subresources; ask the API server itself`,
      );
      return;
    }
    if (!this.#options.feeds.isAssigned()) return tooEarly(call.response, 'the worker has no assignment yet');
    return this.#options.view.get(this.#viewRequest(call, address, readQuery(call.query)), path, name);
  }

  async #collection(call: Call, address: CollectionAddress): Promise<void> {
    const { caller, request } = call;
    const read = readQuery(call.query);
    if (caller === 'exporter') {
      if (isCustomResourceDefinitions(address) && !read.isWatch) {
        return this.#pass(call, { method: 'GET', path: address.path, query: read.parameters });
      }
      // Tables and metadata are for people and other clients; an exporter renders whole objects.
      const { shapes } = acceptedForms(request.headers.accept);
      const isWhole = shapes.length > 0 && shapes.every((shape) => shape === 'Object');
      if (isWhole && isExporterForm(read) && (await this.#canBeFed(address, call.signal))) {
        return this.#follow(call, address, read);
      }
    }
    return this.#look(call, address, read);
  }

  async #look(call: Call, address: CollectionAddress, read: ReadQuery): Promise<void> {
    if (!this.#options.feeds.isAssigned()) return tooEarly(call.response, 'the worker has no assignment yet');
    const asked = this.#viewRequest(call, address, read);
    return read.isWatch ? this.#options.view.watch(asked) : this.#options.view.list(asked);
  }

  #viewRequest({ request, response, caller, signal }: Call, address: CollectionAddress, read: ReadQuery): ViewRequest {
    const isUnsharded = isCustomResourceDefinitions(address);
    return { request, response, address, read, isUnsharded, mayGzip: caller === 'client', signal };
  }

  /** A feed has to be able to watch; when that cannot be found out now, the feed itself keeps trying. */
  async #canBeFed({ group, version, resource }: CollectionAddress, signal: AbortSignal): Promise<boolean> {
    return this.#options.kinds.canWatch(group, version, resource, signal).catch(() => true);
  }

  /** The ways by which an exporter fills and follows its store. */
  async #follow(call: Call, address: CollectionAddress, read: ReadQuery): Promise<void> {
    const { request, response, signal } = call;
    const { isWatch, wantsInitialEvents, resourceVersion: version } = read;
    const isCrds = isCustomResourceDefinitions(address);
    const key = feedKeyOf(address, read.parameters, acceptedForms(request.headers.accept).header);
    const startsAnew = holdsNothing(read);
    // An exporter that holds objects and meets a worker that knows nothing yet has to keep them and come back.
    if (!startsAnew && !this.#options.feeds.isAssigned()) return tooEarly(response, 'the worker has no assignment yet');
    if (startsAnew && !isCrds) this.#options.feeds.noteStart(key);
    if (isWatch && !startsAnew && !wantsInitialEvents) return this.#resume(response, key, version, signal);
    await this.#options.feeds.assigned(signal);
    if (signal.aborted) return;
    if (startsAnew && !isCrds && !(await this.#isKept(call, key, isWatch))) return;
    const feed = this.#options.feeds.open(key);
    feed.noteStart(startsAnew);
    const state = await this.#opened(feed, response, signal);
    if (state === undefined || signal.aborted) return;
    // Without an order of versions nothing says what is newer: only the API server itself can tell it then.
    if (!isWellFormedVersion(state.position)) return this.#look(call, address, read);
    const streamed = startsAnew && !isCrds;
    if (isWatch) this.#watch(response, feed, state, streamed, wantsInitialEvents);
    else this.#list(response, feed, state, streamed);
  }

  /**
   * Resolves true once it is certain that the exporter keeps what it asks for. Where it is going to drop everything with
   * its second start, nothing is read for its first: its watch is open and says nothing.
   */
  async #isKept({ response, signal }: Call, key: FeedKey, isWatch: boolean): Promise<boolean> {
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

function tooEarly(response: ServerResponse, why: string): void {
  sendStatus(response, 429, 'TooManyRequests', `shard-controller worker: ${why}; try again`, 1);
}

/** Parameters of discovery: how long it may take, and which version of a schema is known. */
function discoveryQuery(query: URLSearchParams): Record<string, string> {
  const kept: Record<string, string> = {};
  for (const name of ['timeout', 'hash']) {
    const value = query.get(name);
    if (value !== null) kept[name] = value;
  }
  return kept;
}
