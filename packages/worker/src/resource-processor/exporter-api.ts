import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Clock } from '@shard-controller/shared/runtime';
import type { Logger } from '@shard-controller/shared/observability';
import type { SlotRoles } from '../migration-handler/index.ts';
import type { Upstream } from './data-plane.ts';
import type { Feed } from './feed.ts';
import { type CollectionAddress, type FeedKey, feedKeyOf, parseApiPath } from './feed-key.ts';
import { resumeExporter } from './feed-difference.ts';
import type { FeedState } from './feed-state.ts';
import { passThrough } from './pass-through.ts';
import { sendStatus } from './status-object.ts';

/** What the endpoint needs of the data plane around it. */
export interface FeedDirectory {
  /** Resolves when the first assignment is known, or `signal` aborts. */
  assigned(signal: AbortSignal): Promise<void>;
  isAssigned(): boolean;
  roles(): SlotRoles | undefined;
  find(key: FeedKey): Feed | undefined;
  /** The exporter asks from nothing: it has just started. */
  noteStart(): void;
  /** The exporter goes on from what it got before this process was there. */
  noteResume(): void;
  /** The feed for this key; a new one follows `resumeFrom`, or the present when that is undefined. */
  open(key: FeedKey, resumeFrom?: string): Feed;
}

export interface ExporterApiOptions {
  readonly upstream: Upstream;
  readonly feeds: FeedDirectory;
  readonly logger: Logger;
  readonly clock: Clock;
  readonly firstList: 'Streamed' | 'Full';
}

const SELF_REVIEWS = /^\/apis\/authorization\.k8s\.io\/v1\/selfsubject(access|rules)reviews$/;
const HEALTH = /^\/(livez|readyz|healthz)(\/|$)/;
/** A refused first list is held so long before the refusal goes to the exporter: RBAC may be on its way. ms. */
const REFUSAL_PATIENCE_MS = 20_000;
/** A subscription that was left so long is abandoned when the exporter starts over on the same feed. ms. */
const ABANDONED_MS = 2_000;

/** The Kubernetes API as the exporter sees it: its slots only, read only. */
export class ExporterApi {
  readonly #options: ExporterApiOptions;

  constructor(options: ExporterApiOptions) {
    this.#options = options;
  }

  /** Answers one request; never throws. */
  async handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const gone = new AbortController();
    response.on('close', () => gone.abort());
    response.on('error', () => gone.abort());
    try {
      await this.#route(request, response, gone.signal);
    } catch (error) {
      if (gone.signal.aborted) return;
      const said = error instanceof Error ? error.message : String(error);
      this.#options.logger.error({ url: request.url, err: error }, 'a request of the exporter failed');
      sendStatus(response, 500, 'InternalError', `shard-controller worker: ${said}`);
    }
  }

  async #route(request: IncomingMessage, response: ServerResponse, signal: AbortSignal): Promise<void> {
    const { upstream, clock } = this.#options;
    const url = new URL(request.url ?? '/', 'http://exporter');
    const method = request.method ?? 'GET';
    if (method === 'POST' && SELF_REVIEWS.test(url.pathname))
      return passThrough(upstream, request, response, clock, signal);
    if (method !== 'GET' && method !== 'HEAD') {
      sendStatus(
        response,
        405,
        'MethodNotAllowed',
        `${method} ${url.pathname} is refused: the watch proxy of shard-controller is read-only; write to the API server itself`,
      );
      return;
    }
    if (HEALTH.test(url.pathname)) {
      // The exporter's liveness must not hang on the API server: a restart would empty its store.
      response.writeHead(200, { 'content-type': 'text/plain' }).end('ok');
      return;
    }
    const target = parseApiPath(url.pathname);
    if (target.type === 'other') return passThrough(upstream, request, response, clock, signal);
    if (target.type === 'object') {
      if (target.subresource === undefined && target.address.resource !== 'watch') {
        return passThrough(upstream, request, response, clock, signal);
      }
      sendStatus(
        response,
        403,
        'Forbidden',
        `${url.pathname} is refused: the watch proxy of shard-controller serves no subresources`,
      );
      return;
    }
    await this.#collection(request, response, target.address, url.searchParams, signal);
  }

  async #collection(
    request: IncomingMessage,
    response: ServerResponse,
    address: CollectionAddress,
    query: URLSearchParams,
    signal: AbortSignal,
  ): Promise<void> {
    const isWatch = isTrue(query.get('watch'));
    const isDefinitions = isCustomResourceDefinitions(address);
    if (isDefinitions && !isWatch) {
      const { upstream, clock } = this.#options;
      return passThrough(upstream, request, response, clock, signal);
    }
    const accept = request.headers.accept ?? 'application/json';
    if (/as=Table/.test(accept) && !/,\s*application\/json\s*(,|$)/.test(accept)) {
      sendStatus(response, 406, 'NotAcceptable', 'tables are not served here: ask for application/json');
      return;
    }
    const key = feedKeyOf(address, query, accept);
    const version = query.get('resourceVersion') ?? '';
    const holdsNothing = version === '' || version === '0';
    // Whoever holds something and meets a worker that knows nothing yet has to keep it and come back.
    if (!holdsNothing && !this.#options.feeds.isAssigned())
      return tooEarly(response, 'the worker has no assignment yet');
    if (holdsNothing && !isDefinitions) this.#options.feeds.noteStart();
    const isResume = isWatch && !holdsNothing && !isTrue(query.get('sendInitialEvents'));
    if (isResume) return this.#resume(response, key, version);
    await this.#options.feeds.assigned(signal);
    if (signal.aborted) return;
    const feed = this.#options.feeds.open(key);
    const state = await this.#opened(feed, response, signal);
    if (state === undefined || signal.aborted) return;
    const streamed = holdsNothing && this.#options.firstList === 'Streamed' && !isDefinitions;
    if (isWatch) this.#watch(response, feed, state, streamed, isTrue(query.get('sendInitialEvents')));
    else if (query.has('continue'))
      sendStatus(response, 410, 'Expired', 'lists are served in one page here: list again');
    else this.#list(response, feed, state, streamed);
  }

  /** The feed's state once it is open; otherwise the request is answered with why not. */
  async #opened(feed: Feed, response: ServerResponse, signal: AbortSignal): Promise<FeedState | undefined> {
    feed.waiting++;
    try {
      while (!signal.aborted) {
        await feed.opened(AbortSignal.any([signal, AbortSignal.timeout(REFUSAL_PATIENCE_MS)]));
        if (feed.state !== undefined) return feed.state;
        if (feed.refusal !== undefined) {
          sendStatus(response, feed.refusal.status, feed.refusal.reason, feed.refusal.message);
          return undefined;
        }
      }
      return undefined;
    } finally {
      feed.waiting--;
    }
  }

  /** A watch that starts from nothing, or one that wants everything because it lists anew. */
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
    feed.adopt(subscription);
  }

  /** A watch that goes on from a resourceVersion: an acknowledgement, or an exporter older than this process. */
  #resume(response: ServerResponse, key: FeedKey, version: string): void {
    const { feeds, logger } = this.#options;
    const feed = feeds.find(key) ?? feeds.open(key, version);
    const { state } = feed;
    const known = state?.awaiting(version);
    if (known === undefined) feeds.noteResume();
    if (state === undefined) return tooEarly(response, `${feed.name} is not open yet`);
    if (known !== undefined) {
      startWatch(response, state);
      known.attach(response);
      return;
    }
    if (!state.filled) return tooEarly(response, `${feed.name} is not loaded yet`);
    // The client has lost the thread of whatever was left here.
    for (const left of state.subscriptions.filter(({ awaitedVersion }) => awaitedVersion !== undefined)) left.close();
    const subscription = resumeExporter(state, version, feeds.roles());
    if (subscription === undefined) {
      logger.info({ feed: feed.name, version }, 'the exporter resumes from too long ago: it has to list again');
      sendStatus(response, 410, 'Expired', `resourceVersion ${version} is too old for ${feed.name}: list again`);
      return;
    }
    logger.info({ feed: feed.name, version }, 'took on an exporter that this process had not served before');
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

function isTrue(value: string | null): boolean {
  return value === 'true' || value === '1';
}
