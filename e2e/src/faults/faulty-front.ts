import { once } from 'node:events';
import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http';
import { Agent, createServer, request, type Server } from 'node:https';
import type { Socket } from 'node:net';
import {
  selfSignedCertificate,
  type ServingCertificate,
} from '@shard-controller/shared/testing/self-signed-certificate';
import { FrontStream } from './front-stream.ts';

/** What a request asks for. */
type Verb = 'watch' | 'watchList' | 'list' | 'object' | 'write' | 'other';

/** One request that has reached the front and was not answered yet. */
export interface Exchange {
  readonly verb: Verb;
  readonly url: URL;
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  /** Lets it pass to the API server. */
  forward(): void;
  /** Breaks its connection. */
  reset(): void;
}

/** Something that goes wrong between a client and its API server, for as long as it is injected. */
export interface Fault {
  readonly name: string;
  /** Once, when it begins: what becomes of the answers that are on their way. */
  begin?(front: FaultyFront): void | Promise<void>;
  /** Takes a request over (true), or lets it pass. */
  take?(exchange: Exchange): boolean;
  /** What becomes of one frame of a watch; undefined leaves it as it is. */
  frame?(frame: Buffer, stream: FrontStream): readonly Buffer[] | undefined;
  /** Called for each answer that begins. */
  opened?(stream: FrontStream): void;
  /** Once, when it ends: nothing of it may be left. */
  end?(front: FaultyFront): void | Promise<void>;
}

export interface FrontOptions {
  /** The API server behind it. */
  readonly target: () => { readonly server: string; readonly ca: string };
}

/**
 * A reverse proxy with TLS of its own between a worker and the API server: HTTP/1.1, streaming, one request of the
 * client is one request of the server, credentials pass through. It does nothing to what passes but what the injected
 * faults say.
 */
export class FaultyFront {
  readonly streams = new Set<FrontStream>();
  /** Requests by `<verb> <path>`, since the start. */
  readonly requests: string[] = [];
  readonly #options: FrontOptions;
  readonly #agent: Agent;
  readonly #server: Server;
  /** By the client's port: a TLS socket cannot send a reset, the TCP socket below it can. */
  readonly #sockets = new Map<number, Socket>();
  readonly #faults = new Set<Fault>();
  #certificate: ServingCertificate;
  #port = 0;

  static async start(options: FrontOptions): Promise<FaultyFront> {
    const front = new FaultyFront(options, selfSignedCertificate('front'));
    await front.listen();
    return front;
  }

  private constructor(options: FrontOptions, certificate: ServingCertificate) {
    this.#options = options;
    this.#certificate = certificate;
    this.#agent = new Agent({ keepAlive: true, ca: options.target().ca });
    this.#server = createServer(
      { cert: certificate.certificate, key: certificate.key, keepAliveTimeout: 0, requestTimeout: 0 },
      (request, response) => this.#handle(request, response),
    );
    this.#server.on('connection', (socket: Socket) => {
      const port = socket.remotePort ?? 0;
      this.#sockets.set(port, socket);
      socket.on('close', () => {
        if (this.#sockets.get(port) === socket) this.#sockets.delete(port);
      });
      socket.on('error', () => undefined);
    });
    this.#server.on('tlsClientError', () => undefined);
    this.#server.on('clientError', (_error, socket) => void socket.destroy());
  }

  get port(): number {
    return this.#port;
  }

  /** What its clients have to trust, PEM. */
  get authority(): string {
    return this.#certificate.certificate;
  }

  async inject(fault: Fault): Promise<void> {
    this.#faults.add(fault);
    await fault.begin?.(this);
  }

  async lift(fault: Fault): Promise<void> {
    this.#faults.delete(fault);
    await fault.end?.(this);
  }

  /** Presents a certificate of a new authority to new connections, and breaks the ones that are there. */
  rotateAuthority(): void {
    this.#certificate = selfSignedCertificate('front');
    this.#server.setSecureContext({ cert: this.#certificate.certificate, key: this.#certificate.key });
    this.breakConnections();
  }

  breakConnections(): void {
    for (const socket of this.#sockets.values()) socket.resetAndDestroy();
  }

  /** Takes no connections: they are refused. */
  async shut(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    this.breakConnections();
    await closed;
  }

  /** Takes connections, on the same port as before. */
  async listen(): Promise<void> {
    this.#server.listen(this.#port, '127.0.0.1');
    await once(this.#server, 'listening');
    const address = this.#server.address();
    if (address === null || typeof address === 'string') throw new Error('the front has no port');
    this.#port = address.port;
  }

  async stop(): Promise<void> {
    this.#faults.clear();
    if (this.#server.listening) await this.shut();
    this.#agent.destroy();
  }

  #handle(incoming: IncomingMessage, response: ServerResponse): void {
    const url = new URL(incoming.url ?? '/', 'https://front');
    const verb = verbOf(incoming.method ?? 'GET', url);
    this.requests.push(`${verb} ${url.pathname}`);
    incoming.on('error', () => undefined);
    response.on('error', () => undefined);
    const exchange: Exchange = {
      verb,
      url,
      request: incoming,
      response,
      forward: () => this.#forward(exchange),
      reset: () => this.#reset(incoming.socket),
    };
    for (const fault of this.#faults) if (fault.take?.(exchange) === true) return;
    this.#forward(exchange);
  }

  #forward({ verb, url, request: incoming, response }: Exchange): void {
    if (response.destroyed) return;
    const target = new URL(this.#options.target().server);
    const outgoing = request({
      host: target.hostname,
      port: target.port,
      method: incoming.method,
      path: `${url.pathname}${url.search}`,
      headers: headersFor(incoming),
      agent: this.#agent,
    });
    outgoing.on('error', () => incoming.socket.destroy());
    outgoing.on('response', (source) => {
      if (response.destroyed) {
        source.destroy();
        return;
      }
      const { connection: _, 'transfer-encoding': __, ...headers } = source.headers;
      response.writeHead(source.statusCode ?? 502, headers);
      response.flushHeaders();
      const stream = new FrontStream({
        verb,
        path: url.pathname,
        source,
        response,
        reset: () => this.#reset(incoming.socket),
        frames: (frame, stream) => this.#frames(frame, stream),
        onEnd: (stream) => this.streams.delete(stream),
      });
      this.streams.add(stream);
      for (const fault of this.#faults) fault.opened?.(stream);
    });
    response.on('close', () => outgoing.destroy());
    incoming.pipe(outgoing);
  }

  #reset(socket: Socket): void {
    this.#sockets.get(socket.remotePort ?? 0)?.resetAndDestroy();
    socket.destroy();
  }

  #frames(frame: Buffer, stream: FrontStream): readonly Buffer[] {
    for (const fault of this.#faults) {
      const instead = fault.frame?.(frame, stream);
      if (instead !== undefined) return instead;
    }
    return [frame];
  }
}

function headersFor(incoming: IncomingMessage): OutgoingHttpHeaders {
  const { host: _, connection: __, ...headers } = incoming.headers;
  return headers;
}

function verbOf(method: string, url: URL): Verb {
  if (method !== 'GET') return 'write';
  const parts = url.pathname.split('/').filter((part) => part !== '');
  const inGroup = parts[0] === 'api' ? parts.slice(2) : parts[0] === 'apis' ? parts.slice(3) : [];
  const below = inGroup[0] === 'namespaces' && inGroup.length > 2 ? inGroup.slice(2) : inGroup;
  if (below.length === 0) return 'other';
  if (below.length > 1) return 'object';
  if (url.searchParams.get('watch') !== 'true') return 'list';
  return url.searchParams.get('sendInitialEvents') === 'true' ? 'watchList' : 'watch';
}
