import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { ApiServerCommand, ApiServerReport, ApiServerSettings } from './api-server-protocol.ts';
import { shardSelection } from './shard-selection.ts';
import { bookmarkFrame, FIRST_VERSION, podListBody, SyntheticPods } from './synthetic-pods.ts';

/**
 * A process of its own that says over TLS what a worker needs of an API server: its ShardInstance, and pods by
 * WatchList and watch in protobuf. Each frame of the watch is a TLS record of its own, as kube-apiserver flushes them.
 */

const PROTOBUF = 'application/vnd.kubernetes.protobuf';
/** kube-apiserver's HTTP chunks come from a buffer of 4 KiB (net/http), also while it streams what is there. */
const INITIAL_CHUNK = 4096;

class LoadApiServer {
  readonly #settings: ApiServerSettings;
  readonly #pods: SyntheticPods;
  /** Of each open watch, the pods that it is asked for. */
  readonly #watches = new Map<ServerResponse, readonly boolean[]>();
  #version: number;

  constructor(settings: ApiServerSettings) {
    this.#settings = settings;
    this.#pods = new SyntheticPods(settings.objects, settings.frameBytes);
    this.#version = FIRST_VERSION + settings.objects;
  }

  handle(request: IncomingMessage, response: ServerResponse): void {
    const url = new URL(request.url ?? '/', 'https://api');
    const { instance } = this.#settings;
    request.resume();
    if (url.pathname === '/livez') response.end('ok');
    else if (url.pathname === '/api/v1')
      json(response, { resources: [{ name: 'pods', kind: 'Pod', namespaced: true, verbs: ['get', 'list', 'watch'] }] });
    else if (url.pathname === '/apis/shard.io/v1') {
      json(response, {
        resources: [
          { name: 'shardinstances', kind: 'ShardInstance', namespaced: true, verbs: ['get', 'list', 'watch'] },
        ],
      });
    } else if (url.pathname.endsWith('/shardinstances')) {
      if (url.searchParams.get('watch') !== 'true')
        json(response, { metadata: { resourceVersion: '1' }, items: [instance] });
      else response.writeHead(200, { 'content-type': 'application/json' }).flushHeaders();
    } else if (url.pathname.includes('/shardinstances/')) json(response, instance);
    else if (url.pathname === '/api/v1/pods') void this.#collection(response, url.searchParams);
    else response.writeHead(404).end('{}');
  }

  /** Sends so many changes on every open watch, one after the other, and a bookmark at the end. */
  async churn(frames: number): Promise<number> {
    for (let i = 0; i < frames; i++) {
      this.#version++;
      const index = (i * 7919) % this.#pods.count;
      const frame = this.#pods.frame('MODIFIED', index, this.#version);
      for (const [watch, wanted] of this.#watches) if (wanted[index] === true) await written(watch, frame);
    }
    this.#version++;
    for (const watch of this.#watches.keys()) await written(watch, bookmarkFrame(this.#version));
    return this.#version;
  }

  async #collection(response: ServerResponse, query: URLSearchParams): Promise<void> {
    const selects = shardSelection(this.#settings.narrows ? query.get('shardSelector') : null);
    const wanted = this.#pods.uids.map(selects);
    if (query.get('watch') !== 'true') {
      const count = wanted.filter(Boolean).length;
      const body = podListBody(this.#version, count, this.#pods.uids[wanted.indexOf(true)]);
      response.writeHead(200, { 'content-type': PROTOBUF }).end(body);
      return;
    }
    response.writeHead(200, { 'content-type': `${PROTOBUF};stream=watch` }).flushHeaders();
    if (query.get('sendInitialEvents') === 'true') await this.#initialEvents(response, wanted);
    else {
      this.#watches.set(response, wanted);
      response.on('close', () => this.#watches.delete(response));
    }
  }

  async #initialEvents(response: ServerResponse, wanted: readonly boolean[]): Promise<void> {
    const version = this.#version;
    let chunk: Buffer[] = [];
    let size = 0;
    for (let i = 0; i < this.#pods.count; i++) {
      if (wanted[i] !== true) continue;
      const frame = this.#pods.frame('ADDED', i, FIRST_VERSION + i);
      chunk.push(frame);
      size += frame.length;
      if (size < INITIAL_CHUNK) continue;
      await written(response, Buffer.concat(chunk));
      if (response.destroyed) return;
      chunk = [];
      size = 0;
    }
    await written(response, Buffer.concat([...chunk, bookmarkFrame(version, true)]));
  }
}

/** Resolves when the kernel has it: what is written next is another TLS record. */
function written(response: ServerResponse, bytes: Buffer): Promise<void> {
  return new Promise((resolve) => {
    response.write(bytes, () => resolve());
    if (response.destroyed) resolve();
  });
}

function json(response: ServerResponse, value: unknown): void {
  response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(value));
}

let server: LoadApiServer | undefined;
const report = (message: ApiServerReport): void => void process.send?.(message);

async function obey(command: ApiServerCommand): Promise<void> {
  if (command.type === 'churn') {
    report({ type: 'churned', version: (await server?.churn(command.frames)) ?? 0 });
    return;
  }
  const { settings } = command;
  const api = new LoadApiServer(settings);
  server = api;
  const listener = createServer({ cert: settings.certificate, key: settings.key }, (request, response) =>
    api.handle(request, response),
  );
  listener.listen(0, '127.0.0.1', () => report({ type: 'listening', port: (listener.address() as AddressInfo).port }));
}

process.on('message', (command: ApiServerCommand) => void obey(command));
process.on('disconnect', () => process.exit(0));
