import type { IncomingMessage, ServerResponse } from 'node:http';
import { type Clock, errorMessage } from '@shard-controller/shared/runtime';
import type { Logger } from '@shard-controller/shared/observability';
import type { SlotView, ViewRequest } from '../client-view/index.ts';
import {
  acceptedForms,
  isExporterForm,
  pathOf,
  type ReadQuery,
  readQuery,
  readRequestLine,
  sendStatus,
} from '../http/index.ts';
import {
  type ApiTarget,
  type CollectionAddress,
  type ServedKinds,
  parseApiPath,
  type ForwardedRequest,
  forward,
  type Upstream,
} from '../upstream/index.ts';
import { ExporterReads, type FeedDirectory, isCustomResourceDefinitions, tooEarly } from './exporter-reads.ts';

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

/** The Kubernetes API of this worker's slots, read only. */
export class ExporterApi {
  readonly #options: ExporterApiOptions;
  readonly #reads: ExporterReads;

  constructor(options: ExporterApiOptions) {
    this.#options = options;
    this.#reads = new ExporterReads(options);
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
        if ((await this.#reads.follow(call, address, read)) === 'answered') return;
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
