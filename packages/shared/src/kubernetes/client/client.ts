import type { Logger } from '../../observability/index.ts';
import { type Clock, systemClock } from '../../runtime/index.ts';
import type {
  ApplyRequest,
  CallOptions,
  DeleteOptions,
  KubernetesClientOptions,
  KubernetesRequest,
  PatchOptions,
  StreamRequest,
  StreamResponse,
} from './client-types.ts';
import { Deadline } from './deadline.ts';
import { DiscoveryCache, discoveryPath } from './discovery-cache.ts';
import type { KubernetesEndpoint } from './endpoint.ts';
import {
  errorOfResponse,
  isGone,
  isNotFound,
  KubernetesError,
  parseRetryAfter,
  type RequestIdentity,
} from './kubernetes-error.ts';
import type { KubernetesObject, ObjectList } from './objects.ts';
import { APPLY, isIdempotent, withQuery } from './request-encoding.ts';
import { NotSentError, type Outgoing, RequestSender } from './request-sender.ts';
import { resourcePath } from './resource-path.ts';
import { errorOfTransport } from './transport-error.ts';

const DEFAULT_TIMEOUT_MS = 30_000;
const PAGE_SIZE = 500;
const MAX_RETRIES = 4;
const MAX_RETRY_AFTER_MS = 10_000;

/**
 * Speaks to one API server over pooled connections, raw JSON in and out. Credentials are taken from the endpoint at
 * every request, so rotation needs no restart. All failures are KubernetesError.
 */
export class KubernetesClient {
  readonly #endpoint: KubernetesEndpoint;
  readonly #logger: Logger;
  readonly #clock: Clock;
  readonly #timeoutMs: number;
  readonly #random: () => number;
  readonly #sender: RequestSender;
  readonly #kinds: DiscoveryCache;

  constructor(options: KubernetesClientOptions) {
    this.#endpoint = options.endpoint;
    this.#logger = options.logger;
    this.#clock = options.clock ?? systemClock;
    this.#timeoutMs = options.requestTimeoutMs ?? DEFAULT_TIMEOUT_MS;
    this.#random = options.random ?? Math.random;
    this.#sender = new RequestSender(options);
    this.#kinds = new DiscoveryCache((path, signal) => this.request({ method: 'GET', path, signal }));
  }

  /** The server that this client speaks to, for messages. */
  get server(): string {
    return this.#endpoint.server;
  }

  /**
   * One JSON request. A 401 re-reads the token and tries once more; 429 and 503 with Retry-After are obeyed a few times
   * for idempotent verbs. Throws KubernetesError.
   */
  async request<T>(request: KubernetesRequest): Promise<T> {
    const identity: RequestIdentity = { method: request.method, path: request.path };
    using deadline = new Deadline(request.timeoutMs ?? this.#timeoutMs, request.signal);
    const outgoing: Outgoing = { ...this.#sender.outgoing(request), signal: deadline.signal };
    for (let attempt = 0; ; attempt += 1) {
      let failure: KubernetesError;
      try {
        const answer = await this.#sender.open(outgoing);
        const text = await answer.body.text();
        if (answer.status < 400) return parseJson(identity, text) as T;
        const retryAfterMs = parseRetryAfter(answer.headers['retry-after'], this.#clock.now());
        failure = errorOfResponse(identity, answer.status, text, retryAfterMs);
      } catch (error) {
        throw this.#failureOf(identity, error, deadline, request.timeoutMs ?? this.#timeoutMs);
      }
      const waitMs = this.#retryWait(failure, outgoing, attempt);
      if (waitMs === undefined || waitMs >= deadline.remainingMs()) throw failure;
      this.#logger.debug(
        { method: identity.method, path: identity.path, status: failure.status, waitMs },
        'the API server asks to wait',
      );
      await this.#clock.sleep(waitMs, deadline.signal);
    }
  }

  /**
   * One request whose answer is handed over as it arrives. Never throws on a status and has no body time-out; a 401
   * re-reads the token and tries once more. Throws KubernetesError when no answer comes.
   */
  async stream(request: StreamRequest): Promise<StreamResponse> {
    const method = request.method ?? 'GET';
    const identity: RequestIdentity = { method, path: request.path };
    const outgoing = this.#sender.outgoing({ ...request, method, contentType: undefined });
    try {
      return await this.#sender.open({
        ...outgoing,
        signal: request.signal,
        headersTimeoutMs: request.headersTimeoutMs ?? 0,
      });
    } catch (error) {
      throw this.#failureOf(identity, error, undefined, request.headersTimeoutMs ?? 0, request.signal);
    }
  }

  /** Server-side apply. The plural of the kind is looked up once per apiVersion. A conflict is a 409 KubernetesError. */
  async apply<T>(request: ApplyRequest): Promise<T> {
    const path = await this.pathOf(request.object, request.subresource, request.signal);
    return this.request<T>({
      ...callOf(request),
      method: 'PATCH',
      path,
      query: withQuery(request.query, {
        fieldManager: request.fieldManager,
        force: request.force === true ? true : undefined,
      }),
      body: request.object,
      contentType: APPLY,
    });
  }

  /** The API path of an object, by its apiVersion, kind, namespace and name. */
  async pathOf(object: KubernetesObject, subresource?: string, signal?: AbortSignal): Promise<string> {
    const { apiVersion, kind, metadata } = object;
    const name = metadata?.name;
    if (apiVersion === undefined || kind === undefined || name === undefined) {
      throw new KubernetesError({
        code: 'SC_KUBERNETES_UNKNOWN_KIND',
        status: 0,
        reason: 'IncompleteObject',
        method: 'PATCH',
        path: '',
        message: `an object to apply needs apiVersion, kind and metadata.name; got apiVersion=${apiVersion}, kind=${kind}, name=${name}`,
      });
    }
    const found = await this.#kinds.kind(apiVersion, kind, signal);
    if (found === undefined) throw unknownKind(apiVersion, kind);
    return resourcePath({ ...found, namespace: found.namespaced ? metadata?.namespace : undefined, name, subresource });
  }

  async get<T>(path: string, options: CallOptions = {}): Promise<T> {
    return this.request<T>({ ...callOf(options), method: 'GET', path });
  }

  /** Like `get`, with undefined for an object that does not exist. */
  async find<T>(path: string, options: CallOptions = {}): Promise<T | undefined> {
    try {
      return await this.get<T>(path, options);
    } catch (error) {
      if (isNotFound(error)) return undefined;
      throw error;
    }
  }

  /** The whole collection, page by page at one resourceVersion; starts over once when the server forgets the pages. */
  async list<T>(path: string, options: CallOptions = {}): Promise<ObjectList<T>> {
    try {
      return await this.#listPages<T>(path, options, PAGE_SIZE);
    } catch (error) {
      if (!isGone(error)) throw error;
      return this.#listPages<T>(path, options, undefined);
    }
  }

  async create<T>(path: string, object: unknown, options: CallOptions = {}): Promise<T> {
    return this.request<T>({ ...callOf(options), method: 'POST', path, body: object });
  }

  async update<T>(path: string, object: unknown, options: CallOptions = {}): Promise<T> {
    return this.request<T>({ ...callOf(options), method: 'PUT', path, body: object });
  }

  async patch<T>(path: string, patch: unknown, options: PatchOptions = {}): Promise<T> {
    const contentType = options.contentType ?? 'application/merge-patch+json';
    return this.request<T>({ ...callOf(options), method: 'PATCH', path, body: patch, contentType });
  }

  /** Deletes with DeleteOptions in the body. Throws 404 when it is gone already (see `isNotFound`). */
  async delete(path: string, options: DeleteOptions = {}): Promise<void> {
    const { gracePeriodSeconds, propagationPolicy, preconditions } = options;
    const body = { kind: 'DeleteOptions', apiVersion: 'v1', gracePeriodSeconds, propagationPolicy, preconditions };
    await this.request<unknown>({ ...callOf(options), method: 'DELETE', path, body });
  }

  /** Ends all connections, open requests and streams included. Idempotent. */
  async close(): Promise<void> {
    await this.#sender.close();
  }

  async #listPages<T>(path: string, options: CallOptions, limit: number | undefined): Promise<ObjectList<T>> {
    const items: T[] = [];
    let token: string | undefined;
    for (;;) {
      const query = withQuery(options.query, { limit, continue: token });
      const page = await this.get<ListPage<T>>(path, { ...options, query });
      for (const item of page.items ?? []) items.push(item);
      token = page.metadata?.continue;
      if (token === undefined || token === '') return { items, resourceVersion: page.metadata?.resourceVersion ?? '' };
    }
  }

  #retryWait(failure: KubernetesError, outgoing: Outgoing, attempt: number): number | undefined {
    if (failure.status !== 429 && failure.status !== 503) return undefined;
    if (
      failure.retryAfterMs === undefined ||
      attempt >= MAX_RETRIES ||
      !isIdempotent(outgoing.method, outgoing.headers['content-type'])
    )
      return undefined;
    if (failure.retryAfterMs > MAX_RETRY_AFTER_MS) return undefined;
    // Never sooner than asked; spread, so that many clients do not come back at the same moment.
    return failure.retryAfterMs * (1 + 0.25 * this.#random());
  }

  #failureOf(
    identity: RequestIdentity,
    error: unknown,
    deadline: Deadline | undefined,
    timeoutMs: number,
    signal?: AbortSignal,
  ): KubernetesError {
    if (deadline?.expired === true) {
      return new KubernetesError({
        ...identity,
        code: 'SC_KUBERNETES_TIMEOUT',
        status: 0,
        reason: 'Timeout',
        message: `${identity.method} ${identity.path} failed: no complete answer from ${this.server} within ${timeoutMs} ms. Remedy: check load and health of the API server and of etcd, and the network to it`,
        cause: error,
      });
    }
    if (error instanceof NotSentError || deadline?.signal.aborted === true || signal?.aborted === true) {
      return new KubernetesError({
        ...identity,
        code: 'SC_KUBERNETES_ABORTED',
        status: 0,
        reason: 'Aborted',
        message: `${identity.method} ${identity.path} was stopped by its caller`,
        cause: error,
      });
    }
    return errorOfTransport(identity, this.server, error);
  }
}

interface ListPage<T> {
  readonly metadata?: { readonly resourceVersion?: string; readonly continue?: string };
  readonly items?: readonly T[] | null;
}

function parseJson(identity: RequestIdentity, text: string): unknown {
  try {
    return text === '' ? undefined : JSON.parse(text);
  } catch (cause) {
    throw new KubernetesError({
      ...identity,
      code: 'SC_KUBERNETES_BAD_ANSWER',
      status: 0,
      reason: 'NotJson',
      message: `${identity.method} ${identity.path} was answered with a body that is not JSON (${text.slice(0, 80)}…). Remedy: check that the configured server is a Kubernetes API server and no proxy answers in its place`,
      cause,
    });
  }
}

function callOf(options: CallOptions): CallOptions {
  const { query, signal, timeoutMs, maySend } = options;
  return { query, signal, timeoutMs, maySend };
}

function unknownKind(apiVersion: string, kind: string): KubernetesError {
  return new KubernetesError({
    code: 'SC_KUBERNETES_UNKNOWN_KIND',
    status: 404,
    reason: 'UnknownKind',
    method: 'GET',
    path: discoveryPath(apiVersion),
    message: `the API server serves no kind ${kind} in ${apiVersion}. Remedy: install its CustomResourceDefinition, or correct apiVersion and kind`,
  });
}
