import { discard, type StreamResponse } from '@shard-controller/shared/kubernetes';
import { shardSelector } from '../slots/index.ts';
import { codecOf, type FrameCodec, FrameView, type ListPage } from '../wire/index.ts';
import { readBody } from './answer-body.ts';
import { type FeedKey, selectorQuery } from './collection-key.ts';
import { failureOf, headerOf, UpstreamFailure } from './upstream-failure.ts';
import type { Upstream } from './upstream.ts';

/** Metadata of all objects, cheapest form first; custom resources have it too. */
const METADATA_LIST = [
  'application/vnd.kubernetes.protobuf;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1',
  'application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1',
  'application/json',
].join(',');

/** Until the answer's headers. ms. */
const HEADERS_TIMEOUT_MS = 10_000;
/** Objects of a first page, whose size is not known yet, and of one whose objects are small. */
const FIRST_PAGE = 50;
const LARGEST_PAGE = 500;
/** A page is held unpacked until its objects have been passed on. Bytes. */
const PAGE_BYTES = 4 * 1024 * 1024;
/** The server ends a watch after a random time of this span, s: spreads the re-watches of many feeds. */
const WATCH_SECONDS = { from: 290, to: 590 };
/** kube-apiserver sends a bookmark 2 s before the end of a watch, if that lasts long enough (8 s do, 5 do not). s. */
const BRIEF_SECONDS = 8;

/** How objects are placed in slots. */
export interface Sharding {
  readonly shardBy: 'uid' | 'namespace';
  readonly slotCount: number;
}

/** Where a collection stands by a consistent read. */
export interface CollectionPosition {
  readonly version: string;
  /** Objects in the collection, when the server counts them. */
  readonly total: number | undefined;
}

/** Reads one collection of the API server in all the ways that a feed needs. Throws UpstreamFailure, KubernetesError. */
export class CollectionReader {
  readonly #upstream: Upstream;
  readonly #key: FeedKey;
  readonly #random: () => number;
  /** False after a page came too late for its continue token: the next attempt takes everything in one answer. */
  #isPaged = true;
  readonly #sharding: Sharding | undefined;
  /** False once a single read was forbidden: a role may well have `list` and `watch` alone. */
  readsSingles = true;

  /** @param sharding how objects are placed; without it, narrowed reads are not possible. */
  constructor(upstream: Upstream, key: FeedKey, random: () => number, sharding?: Sharding) {
    this.#upstream = upstream;
    this.#key = key;
    this.#random = random;
    this.#sharding = sharding;
  }

  /**
   * Opens the watch that follows `version`, narrowed to `slots` where the server does that. A brief one brings a bookmark
   * of the newest position that the server's cache knows, within seconds.
   */
  async watch(
    version: string,
    signal: AbortSignal,
    slots?: readonly number[],
    isBrief = false,
  ): Promise<StreamResponse> {
    const { from, to } = WATCH_SECONDS;
    const seconds = isBrief ? BRIEF_SECONDS : Math.round(from + this.#random() * (to - from));
    return this.#open(this.#key.accept, 'identity', signal, {
      watch: 'true',
      allowWatchBookmarks: 'true',
      resourceVersion: version,
      timeoutSeconds: String(seconds),
      ...this.#narrowed(slots),
    });
  }

  /** Opens a watch of what has come after `version` until now; it ends within a second or so. */
  async peek(version: string, signal: AbortSignal, slots?: readonly number[]): Promise<StreamResponse> {
    const query = { watch: 'true', resourceVersion: version, timeoutSeconds: '1' };
    return this.#open(this.#key.accept, 'identity', signal, { ...query, ...this.#narrowed(slots) });
  }

  /** Opens a WatchList that streams everything there is, not older than `version`, and ends with its bookmark. */
  async watchList(version: string, signal: AbortSignal, slots?: readonly number[]): Promise<StreamResponse> {
    return this.#open(this.#key.accept, 'gzip', signal, {
      watch: 'true',
      allowWatchBookmarks: 'true',
      sendInitialEvents: 'true',
      resourceVersionMatch: 'NotOlderThan',
      resourceVersion: version,
      timeoutSeconds: '300',
      ...this.#narrowed(slots),
    });
  }

  /** The present resourceVersion, by a consistent read of one object's metadata. */
  async position(signal: AbortSignal): Promise<CollectionPosition> {
    const view = new FrameView();
    let count = 0;
    const page = await this.#page(METADATA_LIST, { limit: '1' }, signal, view, () => count++);
    const isWhole = page.continueToken === '';
    const isCounted = this.#key.fieldSelector === '' && this.#key.labelSelector === '';
    const rest = isWhole ? 0 : isCounted ? page.remaining : undefined;
    return { version: page.resourceVersion, total: rest === undefined ? undefined : count + rest };
  }

  /**
   * Whether the server narrows lists to ranges of the hash (KEP-5866). Neither an echo nor a version says so for every
   * resource, but what it sends does: asked for one object of each half of the hash space, a server that ignores the
   * selector answers twice with the same object, which is in one half only.
   */
  async honoursSlots(signal: AbortSignal, slotOf: (view: FrameView) => number): Promise<boolean> {
    if (this.#sharding === undefined) return false;
    const { slotCount } = this.#sharding;
    const halves = [0, slotCount / 2].map((from) => Array.from({ length: slotCount / 2 }, (_, i) => from + i));
    let within = 0;
    let outside = 0;
    for (const half of halves) {
      const view = new FrameView();
      await this.#page(METADATA_LIST, { limit: '1', ...this.#narrowed(half) }, signal, view, () => {
        if (half.includes(slotOf(view))) within++;
        else outside++;
      });
      if (outside > 0) return false;
    }
    return within > 0;
  }

  /** Calls `item` for the metadata of every object of `slots`, as of the returned resourceVersion (consistent, paged). */
  async metadata(signal: AbortSignal, item: (view: FrameView) => void, slots?: readonly number[]): Promise<string> {
    return this.#pages(METADATA_LIST, this.#narrowed(slots), signal, (_codec, view) => item(view));
  }

  /** Calls `item` for every whole object, as of the returned resourceVersion, not older than `version`. */
  async objects(
    signal: AbortSignal,
    item: (codec: FrameCodec, view: FrameView) => void | Promise<void>,
    slots?: readonly number[],
  ): Promise<string> {
    return this.#pages(this.#key.accept, this.#narrowed(slots), signal, item);
  }

  /** The bytes of one object (without envelope), or undefined when it is gone. `view` holds its metadata. */
  async object(namespace: string, name: string, view: FrameView, signal: AbortSignal): Promise<Buffer | undefined> {
    const { path, resource, namespace: scope } = this.#key;
    const root = scope === '' && namespace !== '' ? path.slice(0, -resource.length) : undefined;
    const collection = root === undefined ? path : `${root}namespaces/${encodeURIComponent(namespace)}/${resource}`;
    const target = `${collection}/${encodeURIComponent(name)}`;
    const response = await this.#upstream.stream({
      path: target,
      headers: { accept: this.#key.accept, 'accept-encoding': 'identity' },
      signal,
      headersTimeoutMs: HEADERS_TIMEOUT_MS,
    });
    if (response.status === 404) {
      discard(response);
      return undefined;
    }
    if (response.status === 403) this.readsSingles = false;
    if (response.status !== 200) throw await failureOf(path, response);
    const body = await readBody(response);
    codecOf(headerOf(response, 'content-type')).readObject(body, view);
    return body.subarray(view.objectStart, view.objectEnd);
  }

  #narrowed(slots: readonly number[] | undefined): Record<string, string> {
    if (slots === undefined || this.#sharding === undefined || slots.length === this.#sharding.slotCount) return {};
    return { shardSelector: shardSelector(this.#sharding.shardBy, slots, this.#sharding.slotCount) };
  }

  async #pages(
    accept: string,
    query: Record<string, string>,
    signal: AbortSignal,
    item: (codec: FrameCodec, view: FrameView) => void | Promise<void>,
  ): Promise<string> {
    const view = new FrameView();
    let token = '';
    let version = '';
    let size = FIRST_PAGE;
    do {
      const waits: Promise<void>[] = [];
      let objects = 0;
      const page = await this.#page(accept, { ...query, ...this.#paging(token, size) }, signal, view, (codec) => {
        objects++;
        const wait = item(codec, view);
        if (wait !== undefined) waits.push(wait);
      }).catch((error: unknown) => {
        if (token !== '' && error instanceof UpstreamFailure && error.status === 410) this.#isPaged = false;
        throw error;
      });
      await Promise.all(waits);
      token = page.continueToken;
      size = nextPage(objects, page.bytes);
      if (version === '') version = page.resourceVersion;
    } while (token !== '');
    this.#isPaged = true;
    return version;
  }

  #paging(token: string, size: number): Record<string, string> {
    return { ...(this.#isPaged ? { limit: String(size) } : {}), ...(token === '' ? {} : { continue: token }) };
  }

  async #page(
    accept: string,
    query: Record<string, string>,
    signal: AbortSignal,
    view: FrameView,
    item: (codec: FrameCodec) => void,
  ): Promise<ListPage & { readonly bytes: number }> {
    const response = await this.#open(accept, 'gzip', signal, query);
    const codec = codecOf(headerOf(response, 'content-type'));
    const body = await readBody(response);
    return { ...codec.readList(body, view, () => item(codec)), bytes: body.length };
  }

  /** @param encoding `gzip` for what is there, a twelfth of the bytes; live events come one by one. */
  async #open(
    accept: string,
    encoding: 'gzip' | 'identity',
    signal: AbortSignal,
    query: Record<string, string>,
  ): Promise<StreamResponse> {
    const response = await this.#upstream.stream({
      path: this.#key.path,
      query: { ...selectorQuery(this.#key), ...query },
      headers: { accept, 'accept-encoding': encoding },
      signal,
      headersTimeoutMs: HEADERS_TIMEOUT_MS,
    });
    if (response.status !== 200) throw await failureOf(this.#key.path, response);
    return response;
  }
}

/** Objects of the next page, after one with so many objects of so many bytes. */
function nextPage(objects: number, bytes: number): number {
  if (objects === 0) return LARGEST_PAGE;
  return Math.min(LARGEST_PAGE, Math.max(1, Math.floor((PAGE_BYTES * objects) / bytes)));
}
