import type { Readable } from 'node:stream';
import type { Logger } from '../../observability/index.ts';
import { type Clock, systemClock } from '../../runtime/index.ts';
import { errorOfResponse, parseRetryAfter, type StreamResponse } from '../client/index.ts';
import { type Invalid, ObjectCache, type Staging } from './object-cache.ts';
import { ReflectorFailure, reflectorFailureOf } from './reflector-failure.ts';
import { noReflectorMetrics, type ReflectorMetrics } from './reflector-metrics.ts';
import type { ReflectorOptions } from './reflector-options.ts';
import { ReflectorRetries } from './reflector-retries.ts';
import { compareResourceVersion } from './resource-version.ts';
import { endsInitialEvents, resourceVersionOf, type WatchFrame, watchFrames } from './watch-frames.ts';
import { WatchGuard } from './watch-guard.ts';

/** What is asked for with `metadataOnly`. */
const METADATA = {
  list: 'application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1',
  watch: 'application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1',
} as const;
/** A watch that ends sooner and empty did not work, whatever the server says. */
const SHORT_WATCH_MS = 1_000;
/** What servers without WatchList answer to sendInitialEvents. */
const NO_STREAMING = [400, 405, 422];
const SILENCE_MS = 90_000;
/**
 * Keeps a handler in step with one collection of the API server for as long as it runs: list, watch, and whatever it
 * takes to continue. No failure is final: 410 lists again, everything else is tried again with full-jitter back-off.
 */
export class Reflector<T> {
  readonly #options: ReflectorOptions<T>;
  readonly #logger: Logger;
  readonly #clock: Clock;
  readonly #metrics: ReflectorMetrics;
  readonly #random: () => number;
  readonly #silenceMs: number;
  readonly #cache: ObjectCache<T>;
  readonly #synced = Promise.withResolvers<void>();
  #running: Promise<void> | undefined;
  #resourceVersion: string | undefined;
  #streamingRefused = false;
  #lastProofMs: number | undefined;
  readonly #retries: ReflectorRetries;

  constructor(options: ReflectorOptions<T>) {
    this.#options = options;
    this.#logger = options.logger.child({ path: options.path });
    this.#clock = options.clock ?? systemClock;
    this.#metrics = options.metrics ?? noReflectorMetrics;
    this.#random = options.random ?? Math.random;
    this.#silenceMs = options.silenceMs ?? SILENCE_MS;
    this.#cache = new ObjectCache(options.parse);
    const { maxBackoffMs } = options;
    this.#retries = new ReflectorRetries({
      logger: this.#logger,
      clock: this.#clock,
      random: this.#random,
      maxBackoffMs,
    });
  }

  /** Resolves when the first complete list was handed to the handler. Never rejects. */
  get synced(): Promise<void> {
    return this.#synced.promise;
  }

  /** Monotonic time of the newest sign of life of the server on this collection, ms; undefined before the first. */
  get lastProofMs(): number | undefined {
    return this.#lastProofMs;
  }

  /** Position up to which everything was handed over; undefined before the first list. */
  get resourceVersion(): string | undefined {
    return this.#resourceVersion;
  }

  /**
   * Runs until `signal` aborts; then nothing is left open. A call while it runs joins that run. Never rejects; after the
   * end it can be run again, and lists again.
   */
  async run(signal: AbortSignal): Promise<void> {
    this.#running ??= this.#loop(signal).finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  /** Counts a failure, drops a position that is no longer worth anything, and returns the time to wait, ms. */
  #failed(failure: ReflectorFailure): number {
    this.#metrics.failure(failure.failure);
    const { waitMs, isPositionLost } = this.#retries.failed(failure, this.#resourceVersion !== undefined);
    if (isPositionLost) this.#resourceVersion = undefined;
    return waitMs;
  }

  async #loop(signal: AbortSignal): Promise<void> {
    this.#resourceVersion = undefined;
    while (!signal.aborted) {
      try {
        await this.#step(signal);
      } catch (error) {
        if (signal.aborted) return;
        await this.#clock.sleep(this.#failed(reflectorFailureOf(error)), signal);
      }
    }
  }

  /** One list, one watch, or one streaming list that continues as a watch. */
  async #step(signal: AbortSignal): Promise<void> {
    if (this.#resourceVersion !== undefined) return this.#watch(signal, this.#resourceVersion);
    if (this.#options.listMode === 'Streaming' && !this.#streamingRefused) return this.#watch(signal, undefined);
    await this.#listPages(signal);
  }

  async #listPages(signal: AbortSignal): Promise<void> {
    const { client, path, query, pageSize = 500, metadataOnly } = this.#options;
    const staging = this.#cache.stage();
    let token: string | undefined;
    let resourceVersion = '';
    do {
      const page = await client.request<ListPage>({
        method: 'GET',
        path,
        query: { ...query, limit: pageSize, continue: token },
        headers: metadataOnly === true ? { accept: METADATA.list } : {},
        signal,
      });
      this.#proof();
      const apiVersion = page.apiVersion;
      const kind = page.kind?.replace(/List$/, '');
      // Items of built-in kinds come without these two, though watch events have them.
      for (const item of page.items ?? []) staging.add({ apiVersion, kind, ...item });
      token = page.metadata?.continue;
      resourceVersion = page.metadata?.resourceVersion ?? '';
    } while (token !== undefined && token !== '');
    if (resourceVersion === '') throw new ReflectorFailure('malformed', `the list of ${path} has no resourceVersion`);
    this.#replace(staging, resourceVersion);
  }

  #replace(staging: Staging<T>, resourceVersion: string): void {
    const { items, invalid } = staging.commit();
    for (const one of invalid) this.#reportInvalid(one);
    this.#call('replace', () => this.#options.handler.replace(items, resourceVersion, invalid));
    this.#resourceVersion = resourceVersion;
    this.#retries.listed();
    this.#metrics.listed();
    this.#logger.debug({ objects: items.length, resourceVersion }, 'listed');
    this.#synced.resolve();
  }

  async #watch(signal: AbortSignal, from: string | undefined): Promise<void> {
    using watch = new WatchGuard(signal, this.#clock, this.#silenceMs);
    const openedAt = this.#clock.monotonic();
    let frames = 0;
    try {
      const body = await this.#openWatch(watch, from);
      this.#metrics.watched();
      const initial = from === undefined ? this.#cache.stage() : undefined;
      frames = await this.#readFrames(
        watch.alive(body, () => this.#proof()),
        initial,
      );
    } catch (error) {
      if (watch.silent) throw new ReflectorFailure('silent', `no byte for ${this.#silenceMs} ms`);
      throw error;
    }
    if (this.#resourceVersion === undefined) {
      throw new ReflectorFailure('truncated', 'the streaming list ended before it was complete');
    }
    if (frames === 0 && this.#clock.monotonic() - openedAt < SHORT_WATCH_MS) {
      throw new ReflectorFailure('short-watch', 'the server ended the watch at once');
    }
    this.#retries.progress();
  }

  async #openWatch(watch: WatchGuard, from: string | undefined): Promise<Readable> {
    const { client, path, query, metadataOnly } = this.#options;
    const start: Record<string, string> =
      from === undefined
        ? { sendInitialEvents: 'true', resourceVersionMatch: 'NotOlderThan' }
        : { resourceVersion: from };
    const timeoutSeconds = 240 + Math.floor(this.#random() * 241);
    const response = await client.stream({
      path,
      query: { ...query, ...start, watch: true, allowWatchBookmarks: true, timeoutSeconds },
      headers: { accept: metadataOnly === true ? METADATA.watch : 'application/json' },
      signal: watch.signal,
    });
    if (response.status === 200) return response.body;
    const error = await errorOfStream(path, response, this.#clock.now());
    if (from === undefined && NO_STREAMING.includes(response.status)) {
      this.#streamingRefused = true;
      this.#logger.info('the API server has no streaming lists: listing page by page');
    }
    throw error;
  }

  /** Hands the frames of one watch over. `initial` collects those of a streaming list until its closing bookmark. */
  async #readFrames(body: AsyncIterable<Uint8Array>, initial: Staging<T> | undefined): Promise<number> {
    let collecting = initial;
    let frames = 0;
    for await (const frame of watchFrames(body)) {
      frames += 1;
      if (frame.type === 'ERROR') throw failureOfErrorEvent(this.#options.path, frame);
      const resourceVersion = resourceVersionOf(frame);
      if (collecting !== undefined) {
        if (frame.type === 'ADDED') collecting.add(frame.object);
        else if (frame.type === 'BOOKMARK' && endsInitialEvents(frame)) {
          this.#replace(collecting, resourceVersion);
          collecting = undefined;
          this.#retries.progress();
        }
        continue;
      }
      this.#deliver(frame, resourceVersion);
      this.#retries.progress();
    }
    return frames;
  }

  #deliver(frame: WatchFrame, resourceVersion: string): void {
    if (isOlder(resourceVersion, this.#resourceVersion)) {
      throw new ReflectorFailure(
        'went-back',
        `the server sent resourceVersion ${resourceVersion} after ${this.#resourceVersion}: its data is older than ours (restored etcd?)`,
      );
    }
    const { handler } = this.#options;
    switch (frame.type) {
      case 'ADDED':
      case 'MODIFIED': {
        const outcome = this.#cache.upsert(frame.object);
        if (outcome.ok) this.#call('upsert', () => handler.upsert(outcome.value));
        else this.#reportInvalid({ raw: frame.object, problems: outcome.problems });
        break;
      }
      case 'DELETED': {
        const last = this.#cache.remove(frame.object);
        if (last === undefined) this.#call('removeInvalid', () => handler.removeInvalid?.(frame.object));
        else this.#call('remove', () => handler.remove(last));
        break;
      }
      case 'BOOKMARK':
        break;
      default:
        throw new ReflectorFailure('malformed', `unknown watch event type ${frame.type}`);
    }
    this.#resourceVersion = resourceVersion;
  }

  #reportInvalid({ raw, problems }: Invalid): void {
    this.#metrics.invalid();
    this.#logger.warn({ object: nameOf(raw), problems }, 'an object is invalid; its last valid form stays in force');
    this.#call('invalid', () => this.#options.handler.invalid?.(raw, problems));
  }

  /** A callback's failure is its own: it is logged and counted, also when it comes later from an async function. */
  #call(callback: string, run: () => unknown): void {
    const failed = (error: unknown): void => {
      this.#metrics.handlerFailed();
      this.#logger.error({ err: error, callback }, 'a handler of watched objects failed');
    };
    try {
      const result = run();
      if (result instanceof Promise) result.catch(failed);
    } catch (error) {
      failed(error);
    }
  }

  #proof(): void {
    this.#lastProofMs = this.#clock.monotonic();
  }
}

interface ListPage {
  readonly apiVersion?: string;
  readonly kind?: string;
  readonly metadata?: { readonly resourceVersion?: string; readonly continue?: string };
  readonly items?: readonly Readonly<Record<string, unknown>>[] | null;
}

async function errorOfStream(path: string, response: StreamResponse, now: number): Promise<Error> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of response.body) {
    if (chunk instanceof Uint8Array && length < 64 * 1024) chunks.push(chunk);
    length += chunk instanceof Uint8Array ? chunk.length : 0;
  }
  const retryAfterMs = parseRetryAfter(response.headers['retry-after'], now);
  return errorOfResponse(
    { method: 'WATCH', path },
    response.status,
    Buffer.concat(chunks).toString('utf8'),
    retryAfterMs,
  );
}

function failureOfErrorEvent(path: string, frame: WatchFrame): ReflectorFailure {
  const status = typeof frame.object['code'] === 'number' ? frame.object['code'] : 500;
  const error = errorOfResponse({ method: 'WATCH', path }, status, JSON.stringify(frame.object), undefined);
  const known = reflectorFailureOf(error);
  if (known.failure === 'gone' || known.failure === 'went-back') return known;
  if (error.reason === 'Expired' || error.reason === 'Gone') return new ReflectorFailure('gone', error.message);
  return new ReflectorFailure('error-event', error.message, { cause: error });
}

function isOlder(next: string, current: string | undefined): boolean {
  if (current === undefined) return false;
  try {
    return compareResourceVersion(next, current) < 0;
  } catch {
    // An aggregated API with opaque versions: nothing can be said.
    return false;
  }
}

function nameOf(raw: Readonly<Record<string, unknown>>): string {
  const metadata = raw['metadata'];
  if (typeof metadata !== 'object' || metadata === null) return '(no metadata)';
  const namespace = 'namespace' in metadata ? `${String(metadata.namespace)}/` : '';
  return `${namespace}${'name' in metadata ? String(metadata.name) : '(no name)'}`;
}
