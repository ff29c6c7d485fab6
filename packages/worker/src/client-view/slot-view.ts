import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Logger } from '@shard-controller/shared/observability';
import type { StreamResponse } from '@shard-controller/shared/kubernetes';
import { Semaphore } from '@shard-controller/shared/runtime';
import {
  type AcceptedForms,
  acceptedForms,
  gzipInto,
  holdsNothing,
  listForms,
  type ReadQuery,
  sendStatus,
  takesGzip,
} from '../http/index.ts';
import { Exposure } from '../slots/index.ts';
import {
  type CollectionAddress,
  CollectionReader,
  failureOf,
  feedKeyOf,
  headerOf,
  type ServedKinds,
  readBody,
  forwardAnswer,
  sendUnreachable,
  type Upstream,
} from '../upstream/index.ts';
import { codecOf, FrameView, isWellFormedVersion, type ObjectKind } from '../wire/index.ts';
import { ExposureLedger } from './exposure-ledger.ts';
import { exposureFilter, listFilter } from './list-filter.ts';
import { ListBody } from './list-body.ts';
import type { ListMetadata } from './list-item.ts';
import { readRow, readTable, tableWithoutObjects } from './table.ts';
import { ViewEvents } from './view-events.ts';
import { type ListAll, ViewWatch } from './view-watch.ts';

export interface SlotViewOptions {
  readonly upstream: Upstream;
  readonly kinds: ServedKinds;
  readonly logger: Logger;
  readonly random: () => number;
  /** What is shown now. */
  readonly exposure: () => Exposure;
}

/** One read of a client, checked and taken apart. */
export interface ViewRequest {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly address: CollectionAddress;
  readonly read: ReadQuery;
  /** Everything is shown: the resource is not sharded. */
  readonly isUnsharded: boolean;
  /** The client may get gzip when it takes it. */
  readonly mayGzip: boolean;
  readonly signal: AbortSignal;
}

const HEADERS_TIMEOUT_MS = 60_000;
const MAX_WATCHES = 256;
/** Lists that are filtered at the same time; a protobuf list holds its kept part until it is whole. */
const PARALLEL_LISTS = 8;
const PAGE_SIZE = 500;
const WHOLE = Exposure.whole();

/**
 * The API as a client sees it that is not the exporter: each request goes to the API server as it is, which checks it,
 * pages it, selects and prints, and the objects of other shards are left out of the answer. So every form of reading is
 * the API server's own, its continue tokens too, and nothing is remembered here but which slots were shown when.
 */
export class SlotView {
  readonly #options: SlotViewOptions;
  readonly #ledger = new ExposureLedger();
  readonly #watches = new Set<ViewWatch>();
  readonly #lists = new Semaphore(PARALLEL_LISTS);

  constructor(options: SlotViewOptions) {
    this.#options = options;
  }

  /** The slots that are shown have changed. */
  exposureChanged(): void {
    for (const watch of this.#watches) watch.show(this.#options.exposure());
  }

  /** Positions mean something else than before: who comes with one lists again. */
  forget(): void {
    this.#ledger.forgetAll();
  }

  get watches(): number {
    return this.#watches.size;
  }

  async list(what: ViewRequest): Promise<void> {
    const forms = this.#forms(what);
    if (forms === undefined) return;
    await this.#enter(what);
    await this.#lists.run(() => this.#list(what, forms));
  }

  /** One object by its name: found when it is of this worker's slots. */
  async get(what: ViewRequest, path: string, name: string): Promise<void> {
    const forms = this.#forms(what);
    if (forms === undefined) return;
    const { response, address, read } = what;
    const answer = await this.#ask(what, path, forms.header, read.parameters);
    if (answer === undefined) return;
    if (answer.status !== 200) return forwardAnswer(answer, response);
    const view = new FrameView();
    const body = await readBody(answer);
    const codec = codecOf(headerOf(answer, 'content-type'));
    codec.readObject(body, view);
    let out = body;
    const table = codec.encoding === 'json' ? readTable(body, 0, body.length) : undefined;
    if (table !== undefined) {
      const [start = 0, end = 0] = table.rows;
      if (end > 0) readRow(body, start, end, view);
      if (read.leavesObjectsOut) out = tableWithoutObjects(body, table);
    }
    if (!this.#exposure(what).shows(view)) {
      sendStatus(
        response,
        404,
        'NotFound',
        `${address.resource} ${JSON.stringify(name)} is not in the slots of this shard: ask the API server itself, or the worker that owns it`,
      );
      return;
    }
    response.writeHead(200, { 'content-type': headerOf(answer, 'content-type'), 'content-length': out.length });
    response.end(out);
  }

  async watch(what: ViewRequest): Promise<void> {
    const forms = this.#forms(what);
    if (forms === undefined) return;
    const { response, address, read } = what;
    if (this.#watches.size >= MAX_WATCHES) {
      const message = `${MAX_WATCHES} watches are open at this worker: close some, or watch the API server itself`;
      sendStatus(response, 429, 'TooManyRequests', message, 5);
      return;
    }
    await this.#enter(what);
    const startsAnew = holdsNothing(read) || read.wantsInitialEvents || !isWellFormedVersion(read.resourceVersion);
    const held = startsAnew ? undefined : this.#heldBy(what);
    if (!startsAnew && held === undefined) {
      const message = `this worker no longer knows what it showed at resourceVersion ${read.resourceVersion} of ${address.path}: list again`;
      sendStatus(response, 410, 'Expired', message);
      return;
    }
    const query = { ...read.parameters, allowWatchBookmarks: 'true' };
    const answer = await this.#ask(what, address.path, forms.header, query);
    if (answer === undefined) return;
    if (answer.status !== 200) return forwardAnswer(answer, response);
    await this.#follow(what, forms, answer, held);
  }

  async #list(what: ViewRequest, forms: AcceptedForms): Promise<void> {
    const { response, address, read } = what;
    const answer = await this.#ask(what, address.path, forms.header, read.parameters);
    if (answer === undefined) return;
    if (answer.status !== 200) return forwardAnswer(answer, response);
    const contentType = headerOf(answer, 'content-type');
    // Taken after the answer began: whatever was shown before has an older resourceVersion.
    const exposure = this.#exposure(what);
    const found: ListMetadata = { resourceVersion: '', continueToken: '' };
    const { encoding } = codecOf(contentType);
    const filter = exposureFilter({ encoding, leavesObjectsOut: read.leavesObjectsOut }, exposure, found);
    const body = new ListBody(
      response,
      contentType,
      headerOf(answer, 'warning'),
      what.mayGzip && takesGzip(what.request),
    );
    try {
      for await (const chunk of answer.body) await body.write(filter.push(chunk as Buffer));
      await body.write(filter.end());
    } catch (error) {
      // A list that is cut off must not look complete.
      if (!body.fail()) throw error;
      this.#options.logger.debug({ path: address.path, err: error }, 'a list of a client was cut off');
      return;
    }
    this.#ledger.give(address.path, found.resourceVersion, exposure);
    body.end();
  }

  async #follow(
    what: ViewRequest,
    forms: AcceptedForms,
    answer: StreamResponse,
    held: Exposure | undefined,
  ): Promise<void> {
    const { request, response, address, read, signal } = what;
    const { logger } = this.#options;
    const contentType = headerOf(answer, 'content-type');
    const kind = await this.#kindOf(what, forms);
    const zipped = what.mayGzip && takesGzip(request);
    response.writeHead(200, {
      'content-type': contentType,
      'cache-control': 'no-cache, private',
      ...(zipped ? { 'content-encoding': 'gzip', vary: 'Accept-Encoding' } : {}),
    });
    response.flushHeaders();
    const watch = new ViewWatch({
      answer,
      sink: zipped ? gzipInto(response) : response,
      events: new ViewEvents(codecOf(contentType), kind, read.leavesObjectsOut),
      held: held ?? this.#exposure(what),
      position: held === undefined ? '' : read.resourceVersion,
      wantsBookmarks: read.wantsBookmarks,
      wantsInitialEvents: read.wantsInitialEvents,
      listAll: this.#listAll(what, forms),
      onTorn: () => this.#ledger.forget(address.path),
      onUnknown: () => logger.warn({ path: address.path }, 'unknown type of watch event: ending the watch'),
      signal,
    });
    if (!what.isUnsharded) {
      this.#watches.add(watch);
      watch.show(this.#options.exposure());
    }
    try {
      await watch.run();
    } catch (error) {
      if (signal.aborted) return;
      logger.debug({ path: address.path, err: error }, 'a watch of a client was cut off');
      response.destroy();
    } finally {
      this.#watches.delete(watch);
    }
  }

  /** Reads the collection in pages, as of one moment, in the shape that the watch has. */
  #listAll(what: ViewRequest, forms: AcceptedForms): ListAll {
    return async (item, room, signal) => {
      const { address, read } = what;
      const { fieldSelector, labelSelector, shardSelector, includeObject } = read.parameters;
      const selection = Object.fromEntries(
        Object.entries({ fieldSelector, labelSelector, shardSelector, includeObject }).filter(([, value]) => value),
      );
      const found: ListMetadata = { resourceVersion: '', continueToken: '' };
      let version = '';
      do {
        const page = { ...selection, limit: String(PAGE_SIZE), continue: found.continueToken || undefined };
        const answer = await this.#options.upstream.stream({
          path: address.path,
          query: page,
          headers: { accept: listForms(forms.header), 'accept-encoding': 'gzip' },
          signal,
          headersTimeoutMs: HEADERS_TIMEOUT_MS,
        });
        if (answer.status !== 200) throw await failureOf(address.path, answer);
        found.continueToken = '';
        const { encoding } = codecOf(headerOf(answer, 'content-type'));
        const take = (view: FrameView, isRow: boolean): boolean => {
          item(view, isRow);
          return false;
        };
        const filter = listFilter({ encoding, leavesObjectsOut: false }, take, found, false);
        for await (const chunk of answer.body) {
          filter.push(chunk as Buffer);
          await room();
        }
        filter.end();
        if (version === '') version = found.resourceVersion;
      } while (found.continueToken !== '');
      return version;
    };
  }

  async #kindOf({ address, signal }: ViewRequest, forms: AcceptedForms): Promise<ObjectKind> {
    if (forms.shapes[0] === 'PartialObjectMetadata') {
      const version = /;v=([a-z0-9]+)/.exec(forms.header)?.[1] ?? 'v1';
      return { apiVersion: `meta.k8s.io/${version}`, kind: 'PartialObjectMetadata' };
    }
    return this.#options.kinds.find(address.group, address.version, address.resource, signal);
  }

  #forms({ request, response }: ViewRequest): AcceptedForms | undefined {
    const forms = acceptedForms(request.headers.accept);
    if (forms.header !== '') return forms;
    const message =
      'only application/json and application/vnd.kubernetes.protobuf are served here, also as Table or PartialObjectMetadata';
    sendStatus(response, 406, 'NotAcceptable', message);
    return undefined;
  }

  #exposure({ isUnsharded }: ViewRequest): Exposure {
    return isUnsharded ? WHOLE : this.#options.exposure();
  }

  #heldBy({ address, read, isUnsharded }: ViewRequest): Exposure | undefined {
    return isUnsharded ? WHOLE : this.#ledger.heldAt(address.path, read.resourceVersion);
  }

  /** Notes since when the present slots are shown. What keeps it from that, the client's own request will meet. */
  async #enter({ address, isUnsharded, signal }: ViewRequest): Promise<void> {
    if (isUnsharded) return;
    const { upstream, random, exposure } = this.#options;
    const key = feedKeyOf(address, {}, '');
    const position = async (): Promise<string> =>
      (await new CollectionReader(upstream, key, random).position(signal)).version;
    await this.#ledger.enter(address.path, exposure, position).catch(() => undefined);
  }

  /** The API server's answer, or undefined when the client already has an error as its answer. */
  async #ask(
    { response, signal }: ViewRequest,
    path: string,
    accept: string,
    query: Readonly<Record<string, string>>,
  ): Promise<StreamResponse | undefined> {
    const headers = { accept, 'accept-encoding': 'gzip' };
    try {
      return await this.#options.upstream.stream({
        path,
        query,
        headers,
        signal,
        headersTimeoutMs: HEADERS_TIMEOUT_MS,
      });
    } catch (error) {
      if (!signal.aborted) sendUnreachable(response, error);
      return undefined;
    }
  }
}
