import { isRecord } from '../../runtime/is-record.ts';
import { createServer, type Server } from 'node:https';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { ObjectStore, type StoredEvent } from './object-store.ts';
import { selfSignedCertificate, type ServingCertificate } from './self-signed-certificate.ts';

/** What a request is to the server. */
export type RequestKind = 'list' | 'watch' | 'object';

export interface SeenRequest {
  readonly kind: RequestKind;
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
}

/** Answers one request instead of the server. */
export type Fault = (request: SeenRequest, response: ServerResponse) => void;

/** An open watch, to be disturbed by a test. */
export class OpenWatch {
  readonly request: SeenRequest;
  readonly response: ServerResponse;

  constructor(request: SeenRequest, response: ServerResponse) {
    this.request = request;
    this.response = response;
  }

  /** Raw text, as it is. */
  write(text: string): void {
    if (!this.response.writableEnded) this.response.write(text);
  }

  end(): void {
    this.response.end();
  }

  destroy(): void {
    this.response.socket?.destroy();
  }

  bookmark(resourceVersion: number, annotations?: Readonly<Record<string, string>>): void {
    const metadata = {
      resourceVersion: String(resourceVersion),
      ...(annotations === undefined ? {} : { annotations }),
    };
    this.write(`${JSON.stringify({ type: 'BOOKMARK', object: { kind: 'Thing', metadata } })}\n`);
  }

  error(code: number, reason: string, message = reason): void {
    this.write(`${JSON.stringify({ type: 'ERROR', object: { kind: 'Status', code, reason, message } })}\n`);
  }
}

/**
 * A small API server over TLS that keeps collections in memory and misbehaves on order: a fixture for faults that a real
 * server shows too rarely. What real servers do is tested against real servers.
 */
export class FakeApiServer {
  readonly serving: ServingCertificate;
  readonly requests: SeenRequest[] = [];
  readonly watches = new Set<OpenWatch>();
  /** TCP connections accepted so far. */
  connections = 0;
  /** When set, requests must carry it as Bearer token. */
  token: string | undefined;
  readonly #server: Server;
  readonly #sockets = new Set<Duplex>();
  readonly #stores = new Map<string, ObjectStore>();
  readonly #revision = { value: 100 };
  readonly #faults: { readonly kind: RequestKind; readonly fault: Fault }[] = [];
  readonly #pages = new Map<string, readonly unknown[]>();

  private constructor(serving: ServingCertificate) {
    this.serving = serving;
    this.#server = createServer({ cert: serving.certificate, key: serving.key }, (request, response) => {
      void this.#serve(request, response);
    });
    this.#server.on('connection', (socket) => {
      this.connections += 1;
      this.#sockets.add(socket);
      socket.on('close', () => this.#sockets.delete(socket));
      socket.on('error', () => socket.destroy());
    });
  }

  static async start(serving: ServingCertificate = selfSignedCertificate('fake')): Promise<FakeApiServer> {
    const server = new FakeApiServer(serving);
    await server.listen(0);
    return server;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get url(): string {
    return `https://127.0.0.1:${this.port}`;
  }

  get openSockets(): number {
    return this.#sockets.size;
  }

  async listen(port: number): Promise<void> {
    await new Promise<void>((resolve) => this.#server.listen(port, '127.0.0.1', resolve));
  }

  /** Stops like a killed process: connections break. Can listen again. */
  async stop(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  /** Presents another certificate to new connections. */
  present(serving: ServingCertificate): void {
    this.#server.setSecureContext({ cert: serving.certificate, key: serving.key });
  }

  store(collection: string): ObjectStore {
    const known = this.#stores.get(collection);
    if (known !== undefined) return known;
    const store = new ObjectStore(this.#revision);
    this.#stores.set(collection, store);
    return store;
  }

  /** The next `times` requests of this kind are answered by `fault`. */
  inject(kind: RequestKind, fault: Fault, times = 1): void {
    for (let n = 0; n < times; n += 1) this.#faults.push({ kind, fault });
  }

  seen(kind: RequestKind): readonly SeenRequest[] {
    return this.requests.filter((request) => request.kind === kind);
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', 'https://fake');
    const chunks: Uint8Array[] = [];
    for await (const chunk of request) if (chunk instanceof Uint8Array) chunks.push(chunk);
    const { collection, name } = locate(url.pathname);
    const kind = kindOf(request.method ?? 'GET', name, url.searchParams);
    const seen: SeenRequest = {
      kind,
      method: request.method ?? 'GET',
      path: url.pathname,
      query: url.searchParams,
      headers: request.headers,
      body: Buffer.concat(chunks).toString('utf8'),
    };
    this.requests.push(seen);
    const planned = this.#faults.findIndex((fault) => fault.kind === kind);
    if (planned !== -1) {
      const [fault] = this.#faults.splice(planned, 1);
      fault?.fault(seen, response);
      return;
    }
    if (this.token !== undefined && request.headers.authorization !== `Bearer ${this.token}`) {
      sendStatus(response, 401, 'Unauthorized', 'Unauthorized');
      return;
    }
    const store = this.store(collection);
    if (kind === 'watch') this.#watch(store, seen, response);
    else if (kind === 'list') this.#list(store, seen, response);
    else serveObject(store, name, seen, response);
  }

  #list(store: ObjectStore, seen: SeenRequest, response: ServerResponse): void {
    const limit = Number(seen.query.get('limit') ?? '0');
    const token = seen.query.get('continue');
    const [snapshot = String(store.resourceVersion), from = '0'] = token?.split(':') ?? [];
    const items = token === null ? store.list() : this.#pages.get(snapshot);
    if (items === undefined || Number(snapshot) < store.compactedAt) {
      sendStatus(response, 410, 'Expired', 'The provided continue parameter is too old');
      return;
    }
    this.#pages.set(snapshot, items);
    const end = limit === 0 ? items.length : Number(from) + limit;
    const metadata = { resourceVersion: snapshot, ...(end < items.length ? { continue: `${snapshot}:${end}` } : {}) };
    sendJson(response, 200, { kind: 'ThingList', apiVersion: 'v1', metadata, items: items.slice(Number(from), end) });
  }

  #watch(store: ObjectStore, seen: SeenRequest, response: ServerResponse): void {
    const from = seen.query.get('resourceVersion');
    const watch = new OpenWatch(seen, response);
    const send = (event: StoredEvent): void =>
      watch.write(`${JSON.stringify({ type: event.type, object: event.object })}\n`);
    if (from !== null && Number(from) < store.compactedAt) {
      sendStatus(response, 410, 'Expired', `too old resource version: ${from}`);
      return;
    }
    response.writeHead(200, { 'content-type': 'application/json' });
    response.flushHeaders();
    if (from === null) {
      for (const object of store.list()) watch.write(`${JSON.stringify({ type: 'ADDED', object })}\n`);
      watch.bookmark(store.resourceVersion, { 'k8s.io/initial-events-end': 'true' });
    } else {
      for (const event of store.since(Number(from))) send(event);
    }
    const unsubscribe = store.subscribe(send);
    this.watches.add(watch);
    response.on('close', () => {
      unsubscribe();
      this.watches.delete(watch);
    });
  }
}

function serveObject(store: ObjectStore, name: string | undefined, seen: SeenRequest, response: ServerResponse): void {
  const body: unknown = seen.body === '' ? {} : JSON.parse(seen.body);
  const content = isRecord(body) ? body : {};
  const metadata = isRecord(content['metadata']) ? content['metadata'] : {};
  const given = metadata['name'];
  const target = name ?? (typeof given === 'string' ? given : '');
  const current = store.get(target);
  if (seen.method === 'POST') {
    if (current !== undefined) return sendStatus(response, 409, 'AlreadyExists', `${target} already exists`);
    return sendJson(response, 201, store.put(target, content));
  }
  const isApply = seen.headers['content-type'] === 'application/apply-patch+yaml';
  if (current === undefined && isApply) return sendJson(response, 201, store.put(target, content));
  if (current === undefined) return sendStatus(response, 404, 'NotFound', `${target} not found`);
  if (seen.method === 'GET') return sendJson(response, 200, current);
  if (seen.method === 'DELETE') return sendJson(response, 200, store.delete(target));
  if (seen.method === 'PATCH') {
    const merged = { ...current, ...content, metadata: { ...current.metadata, ...metadata } };
    return sendJson(response, 200, store.put(target, merged));
  }
  if (metadata['resourceVersion'] !== undefined && metadata['resourceVersion'] !== current.metadata.resourceVersion) {
    return sendStatus(response, 409, 'Conflict', `${target}: the object has been modified`);
  }
  return sendJson(response, 200, store.put(target, content));
}

/** A refusal as Kubernetes sends it. */
export function sendStatus(
  response: ServerResponse,
  code: number,
  reason: string,
  message: string,
  headers: Readonly<Record<string, string>> = {},
): void {
  const status = { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Failure', code, reason, message };
  sendJson(response, code, status, headers);
}

export function sendJson(
  response: ServerResponse,
  code: number,
  body: unknown,
  headers: Readonly<Record<string, string>> = {},
): void {
  response.writeHead(code, { 'content-type': 'application/json', ...headers });
  response.end(JSON.stringify(body));
}

function kindOf(method: string, name: string | undefined, query: URLSearchParams): RequestKind {
  if (query.get('watch') === 'true') return 'watch';
  return method === 'GET' && name === undefined ? 'list' : 'object';
}

const OBJECT_PATH = /^(?<collection>\/(?:api|apis\/[^/]+)\/[^/]+(?:\/namespaces\/[^/]+)?\/[^/]+)(?:\/(?<name>[^/]+))?/;

function locate(path: string): { readonly collection: string; readonly name: string | undefined } {
  const found = OBJECT_PATH.exec(path)?.groups;
  return { collection: found?.['collection'] ?? path, name: found?.['name'] };
}
