import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { PassThrough, type Readable } from 'node:stream';
import { discard, KubernetesClient, type StreamResponse, staticEndpoint } from '@shard-controller/shared/kubernetes';
import { createLogger } from '@shard-controller/shared/observability';
import { until } from '@shard-controller/shared/testing';
import { afterEach, describe, expect, test } from 'vitest';
import { readBody } from './answer-body.ts';
import { ScriptedApiServer } from './testing/scripted-api-server.ts';
import { TroubledUpstream, turn } from './testing/troubled-upstream.ts';
import type { Upstream } from './upstream.ts';

const PODS = { path: '/api/v1/pods', query: { watch: 'true' } };

/** The far end of an upstream: what it sends on the next request, or has sent on the one before. */
interface FarEnd {
  readonly upstream: Upstream;
  /** An answer is asked for, and has not been given. */
  isAsked(): boolean;
  /** @param length bytes of the whole body, when all of it is to come at once. */
  begin(length?: number): void;
  send(text: string): void;
  end(): void;
  reset(): void;
  stop(): Promise<void>;
}

async function pooledClient(): Promise<FarEnd> {
  let response: ServerResponse | undefined;
  const server = createServer((_, answer) => {
    response = answer;
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const client = new KubernetesClient({
    endpoint: staticEndpoint({ server: `http://127.0.0.1:${(server.address() as AddressInfo).port}` }),
    logger: createLogger({ name: 'test', level: 'fatal' }),
    userAgent: 'test',
  });
  return {
    upstream: client,
    isAsked: () => response !== undefined,
    begin: (length) => {
      response?.writeHead(200, {
        'content-type': 'application/json',
        ...(length === undefined ? {} : { 'content-length': length }),
      });
      response?.flushHeaders();
    },
    send: (text) => void response?.write(text),
    end: () => void response?.end(),
    reset: () => response?.socket?.resetAndDestroy(),
    stop: async () => {
      await client.close();
      await new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      });
    },
  };
}

function double(over: (api: ScriptedApiServer) => Upstream): FarEnd {
  const api = new ScriptedApiServer();
  const body = new PassThrough();
  const { promise: begun, resolve: begin } = Promise.withResolvers<void>();
  let isAsked = false;
  api.opening = begun;
  api.next(() => ({ status: 200, headers: { 'content-type': 'application/json' }, body }));
  const upstream = over(api);
  return {
    upstream: {
      stream: (request) => {
        isAsked = true;
        return upstream.stream(request);
      },
    },
    isAsked: () => isAsked,
    begin: () => begin(),
    send: (text) => void body.write(text),
    end: () => void body.end(),
    reset: () => void body.destroy(new Error('ECONNRESET')),
    stop: () => Promise.resolve(),
  };
}

const ends: FarEnd[] = [];
const escaped: string[] = [];
const note = (error: Error): void => void escaped.push(error.message);
afterEach(async () => {
  for (const end of ends.splice(0)) await end.stop();
});

/** Runs `act`, and resolves with the errors that nobody listened to: each would have ended the process. */
async function escapedFrom(act: () => void, body: Readable): Promise<readonly string[]> {
  escaped.length = 0;
  const others = process.listeners('uncaughtException');
  process.removeAllListeners('uncaughtException').on('uncaughtException', note);
  try {
    act();
    await until(() => body.closed);
  } finally {
    process.removeAllListeners('uncaughtException');
    for (const other of others) process.on('uncaughtException', other);
  }
  return escaped;
}

describe.each([
  ['the pooled client', pooledClient],
  ['the scripted API server', () => Promise.resolve(double((api) => api))],
  ['the troubled upstream', () => Promise.resolve(double((api) => new TroubledUpstream(api)))],
])('%s', (_name, open) => {
  /** An answer that has begun, and has sent `text`. */
  async function begun(
    text: string,
    signal?: AbortSignal,
    length?: number,
  ): Promise<{ far: FarEnd; response: StreamResponse }> {
    const far = await open();
    ends.push(far);
    const coming = far.upstream.stream({ ...PODS, signal });
    await until(() => far.isAsked());
    far.begin(length);
    far.send(text);
    const response = await coming;
    await until(() => response.body.readableLength >= text.length);
    return { far, response };
  }

  async function complete(signal?: AbortSignal): Promise<{ far: FarEnd; response: StreamResponse }> {
    const text = '{"type":"ERROR"}\n';
    // The client knows its end by its length, with its last byte.
    const { far, response } = await begun(text, signal, text.length);
    far.end();
    await turn();
    return { far, response };
  }

  test('ends nothing when an answer that nobody reads is discarded, complete or not', async () => {
    for (const { response } of [await complete(), await begun('half')]) {
      expect(await escapedFrom(() => discard(response), response.body)).toEqual([]);
      expect(response.body.destroyed).toBe(true);
    }
  });

  test('would end the process when such an answer is destroyed and nobody listens', async () => {
    const { response } = await complete();
    expect(await escapedFrom(() => response.body.destroy(), response.body)).toEqual(['Request aborted']);
  });

  test('hands over a complete answer whatever becomes of its connection afterwards', async () => {
    const { far, response } = await complete();
    far.reset();
    expect(String(await readBody(response))).toBe('{"type":"ERROR"}\n');
    expect(await escapedFrom(() => response.body.destroy(), response.body)).toEqual([]);
  });

  test('ends nothing when the connection of an answer breaks that nobody reads yet, and says so to who comes', async () => {
    const { far, response } = await begun('half');
    expect(await escapedFrom(() => far.reset(), response.body)).toEqual([]);
    expect(response.body.destroyed).toBe(true);
    await expect(readBody(response)).rejects.toBeInstanceOf(Error);
  });

  test('tells a reader that the connection broke', async () => {
    const { far, response } = await begun('half');
    const reading = readBody(response);
    far.reset();
    await expect(reading).rejects.toBeInstanceOf(Error);
  });

  test('ends a request that waits for its answer when its signal aborts', async () => {
    const far = await open();
    ends.push(far);
    const stop = new AbortController();
    const coming = far.upstream.stream({ ...PODS, signal: stop.signal });
    await until(() => far.isAsked());
    stop.abort();
    await expect(coming).rejects.toBeInstanceOf(Error);
    await expect(far.upstream.stream({ ...PODS, signal: stop.signal })).rejects.toBeInstanceOf(Error);
  });

  test('ends an answer when its signal aborts, also a complete one that nobody has read', async () => {
    for (const begin of [begun.bind(undefined, 'half'), complete]) {
      const stop = new AbortController();
      const { response } = await begin(stop.signal);
      expect(await escapedFrom(() => stop.abort(), response.body)).toEqual([]);
      await expect(readBody(response)).rejects.toBeInstanceOf(Error);
    }
  });

  test('ends nothing when a reader stops half-way', async () => {
    const { far, response } = await begun('half');
    expect(String(await readBody(response, 2))).toBe('half');
    await until(() => response.body.closed);
    expect(await escapedFrom(() => far.send('more'), response.body)).toEqual([]);
  });
});
