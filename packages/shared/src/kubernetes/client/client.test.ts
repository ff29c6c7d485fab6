import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createLogger } from '../../observability/index.ts';
import { waitUntil } from '../../testing/index.ts';
import { FakeApiServer, type Fault, sendJson, sendStatus } from '../testing/fake-api-server.ts';
import { selfSignedCertificate } from '../testing/self-signed-certificate.ts';
import { KubernetesClient } from './client.ts';
import type { KubernetesClientOptions } from './client-types.ts';
import { inClusterEndpoint, type KubernetesEndpoint, staticEndpoint } from './endpoint.ts';
import { KubernetesError } from './kubernetes-error.ts';

const THINGS = '/apis/test.shard.io/v1/namespaces/x/things';
const THING = `${THINGS}/a`;
const logger = createLogger({ name: 'test', level: 'silent' });

let server: FakeApiServer;
let clients: KubernetesClient[];

function clientOf(endpoint: KubernetesEndpoint, options: Partial<KubernetesClientOptions> = {}): KubernetesClient {
  const client = new KubernetesClient({ endpoint, logger, userAgent: 'shard-test/1', random: () => 0, ...options });
  clients.push(client);
  return client;
}

function trusting(token?: string): KubernetesEndpoint {
  return staticEndpoint({ server: server.url, ca: server.serving.certificate, token });
}

async function failureOf(promise: Promise<unknown>): Promise<KubernetesError> {
  const error = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (error instanceof KubernetesError) return error;
  throw new Error('expected a KubernetesError', { cause: error });
}

const later: Fault = (_, response) => sendStatus(response, 429, 'TooManyRequests', 'later', { 'retry-after': '0' });

beforeEach(async () => {
  clients = [];
  server = await FakeApiServer.start();
  server.store(THINGS).put('a', { value: 1 });
});

afterEach(async () => {
  await Promise.all(clients.map((client) => client.close()));
  await server.stop();
});

describe('a write that may not be sent any more', () => {
  it('is not sent, and not sent again after the server asked to wait', async () => {
    const client = clientOf(trusting());
    server.inject('object', later);
    let looks = 0;
    const failure = await failureOf(client.delete(THING, { maySend: () => ++looks <= 1 }));
    expect(failure.code).toBe('SC_KUBERNETES_ABORTED');
    expect(looks).toBe(2);
    expect(await client.find(THING)).toBeDefined();
    await client.delete(THING, { maySend: () => true });
    expect(await client.find(THING)).toBeUndefined();
  });
});

describe('connections', () => {
  it('500 sequential GETs use two connections at most', async () => {
    const client = clientOf(trusting());
    for (let n = 0; n < 500; n += 1) await client.get(THING);
    expect(server.connections).toBeLessThanOrEqual(2);
  });

  it('closes everything, open streams included, and refuses further use', async () => {
    const client = clientOf(trusting());
    await client.get(THING);
    const { body } = await client.stream({ path: THINGS, query: { watch: true, resourceVersion: '1' } });
    body.on('error', () => {});
    await client.close();
    await waitUntil('no connection is left', () => server.openSockets === 0);
    expect((await failureOf(client.get(THING))).message).toContain('the client is closed');
  });

  it('a read on a kept-alive connection that the server has just closed is tried again', async () => {
    const client = clientOf(trusting());
    await client.get(THING);
    server.inject('object', (_, response) => response.socket?.destroy());
    expect(await client.get(THING)).toMatchObject({ value: 1 });
  });

  it('a write is not tried again, because it may have happened', async () => {
    const client = clientOf(trusting());
    server.inject('object', (_, response) => response.socket?.destroy());
    expect((await failureOf(client.create(THINGS, { metadata: { name: 'b' } }))).status).toBe(0);
    expect(server.seen('object')).toHaveLength(1);
  });
});

describe('credentials', () => {
  let folder: string;

  function mounted(): KubernetesEndpoint {
    const env = { KUBERNETES_SERVICE_HOST: '127.0.0.1', KUBERNETES_SERVICE_PORT: String(server.port) };
    return inClusterEndpoint({ env, folder });
  }

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'client-'));
    writeFileSync(join(folder, 'token'), 'one');
    writeFileSync(join(folder, 'ca.crt'), server.serving.certificate);
    server.token = 'one';
  });

  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  it('a 401 reads the token again and tries once more, for requests and streams', async () => {
    const client = clientOf(mounted());
    await client.get(THING);
    writeFileSync(join(folder, 'token'), 'two');
    server.token = 'two';
    expect(await client.get(THING)).toMatchObject({ value: 1 });
    writeFileSync(join(folder, 'token'), 'three');
    server.token = 'three';
    const { status, body } = await client.stream({ path: THING });
    body.resume();
    expect(status).toBe(200);
  });

  it('a token that stays wrong is a clear error after two tries', async () => {
    const client = clientOf(mounted());
    server.token = 'another';
    const error = await failureOf(client.get(THING));
    expect(error.code).toBe('SC_KUBERNETES_UNAUTHORIZED');
    expect(server.requests).toHaveLength(2);
  });

  it('a rotated CA takes effect at once, and requests under way end on the old connections', async () => {
    const client = clientOf(mounted());
    const { body } = await client.stream({ path: THINGS, query: { watch: true, resourceVersion: '1' } });
    const seen: string[] = [];
    body.on('data', (chunk: Buffer) => void seen.push(chunk.toString('utf8')));
    const rotated = selfSignedCertificate('rotated');
    server.present(rotated);
    writeFileSync(join(folder, 'ca.crt'), rotated.certificate);
    for (const socket of [1, 2]) expect(await client.get(THING), `request ${socket}`).toMatchObject({ value: 1 });
    server.store(THINGS).put('after');
    await waitUntil('the old watch still delivers', () => seen.join('').includes('after'));
    body.destroy();
  });
});

describe('errors', () => {
  it('a server with an unknown certificate', async () => {
    const other = selfSignedCertificate('other').certificate;
    const client = clientOf(staticEndpoint({ server: server.url, ca: other }));
    const error = await failureOf(client.get(THING));
    expect(error.code).toBe('SC_KUBERNETES_TLS');
    expect(error.message).toContain(server.url);
  });

  it('a certificate for another name, which tlsServerName puts right', async () => {
    const wrong = staticEndpoint({ server: server.url, ca: server.serving.certificate, tlsServerName: 'elsewhere' });
    expect((await failureOf(clientOf(wrong).get(THING))).reason).toBe('ERR_TLS_CERT_ALTNAME_INVALID');
    const right = staticEndpoint({ server: server.url, ca: server.serving.certificate, tlsServerName: 'localhost' });
    expect(await clientOf(right).get(THING)).toMatchObject({ value: 1 });
  });

  it('no server at all', async () => {
    const client = clientOf(trusting());
    await server.stop();
    const error = await failureOf(client.get(THING));
    expect(error.message).toMatch(/GET .*things\/a failed: the API server at https:.* refuses connections/);
    await server.listen(0);
  });

  it('a server that accepts and never answers', async () => {
    server.inject('object', () => {});
    const error = await failureOf(clientOf(trusting(), { requestTimeoutMs: 100 }).get(THING));
    expect(error.code).toBe('SC_KUBERNETES_TIMEOUT');
    expect(error.message).toContain('within 100 ms');
  });

  it("the caller's own stop is told apart from a time-out", async () => {
    server.inject('object', () => {});
    const stop = new AbortController();
    const failure = failureOf(clientOf(trusting()).get(THING, { signal: stop.signal }));
    await waitUntil('the request is there', () => server.requests.length === 1);
    stop.abort();
    expect((await failure).code).toBe('SC_KUBERNETES_ABORTED');
  });

  it('an answer that is no JSON', async () => {
    server.inject('object', (_, response) => response.end('<html>'));
    expect((await failureOf(clientOf(trusting()).get(THING))).code).toBe('SC_KUBERNETES_BAD_ANSWER');
  });
});

describe('Retry-After', () => {
  it('is obeyed for idempotent verbs', async () => {
    server.inject('object', (_, response) =>
      sendStatus(response, 429, 'TooManyRequests', 'later', { 'retry-after': '1' }),
    );
    const before = performance.now();
    expect(await clientOf(trusting()).get(THING)).toMatchObject({ value: 1 });
    expect(performance.now() - before).toBeGreaterThan(950);
  });

  it('is obeyed for server-side apply, not for other patches or for POST', async () => {
    const client = clientOf(trusting());
    server.inject('object', later);
    expect(await client.patch(THING, { value: 2 }, { contentType: 'application/apply-patch+yaml' })).toMatchObject({
      value: 2,
    });
    server.inject('object', later);
    expect((await failureOf(client.patch(THING, { value: 3 }))).retryAfterMs).toBe(0);
    server.inject('object', later);
    expect((await failureOf(client.create(THINGS, { metadata: { name: 'b' } }))).status).toBe(429);
  });

  it('is given up after a few times, and when it is longer than the time that is left', async () => {
    server.inject('object', later, 50);
    expect((await failureOf(clientOf(trusting()).get(THING))).code).toBe('SC_KUBERNETES_THROTTLED');
    expect(server.requests).toHaveLength(5);
    await server.stop();
    server = await FakeApiServer.start();
    server.inject('object', (_, response) =>
      sendStatus(response, 503, 'ServiceUnavailable', 'x', { 'retry-after': '100' }),
    );
    const before = performance.now();
    const error = await failureOf(clientOf(trusting(), { requestTimeoutMs: 60_000 }).get(THING));
    expect(error.retryAfterMs).toBe(100_000);
    expect(performance.now() - before).toBeLessThan(60_000);
  });
});

describe('requests', () => {
  it('DELETE sends its options with their length', async () => {
    await clientOf(trusting()).delete(THING, { gracePeriodSeconds: 0, preconditions: { uid: 'uid-1' } });
    const request = server.requests.at(-1);
    expect(JSON.parse(request?.body ?? '')).toEqual({
      kind: 'DeleteOptions',
      apiVersion: 'v1',
      gracePeriodSeconds: 0,
      preconditions: { uid: 'uid-1' },
    });
    expect(request?.headers['content-length']).toBe(String(request?.body.length));
    expect(request?.headers['transfer-encoding']).toBeUndefined();
  });

  it('apply finds the plural once and sends manager, force and content type', async () => {
    const client = clientOf(trusting());
    server.inject('list', (_, response) =>
      sendJson(response, 200, {
        resources: [
          { name: 'things', kind: 'Thing', namespaced: true },
          { name: 'things/status', kind: 'Thing', namespaced: true },
        ],
      }),
    );
    const object = { apiVersion: 'test.shard.io/v1', kind: 'Thing', metadata: { name: 'a', namespace: 'x' } };
    await client.apply({ object, fieldManager: 'me', force: true });
    await client.apply({ object, fieldManager: 'me', subresource: 'status' });
    const [discovery, first, second] = server.requests;
    expect(discovery?.path).toBe('/apis/test.shard.io/v1');
    expect(first).toMatchObject({ method: 'PATCH', path: THING });
    expect(first?.query.toString()).toBe('fieldManager=me&force=true');
    expect(first?.headers['content-type']).toBe('application/apply-patch+yaml');
    expect(second?.path).toBe(`${THING}/status`);
    expect(second?.query.toString()).toBe('fieldManager=me');
    expect(server.requests).toHaveLength(3);
  });

  it('apply of an unknown kind says that its CRD is missing', async () => {
    server.inject('list', (_, response) => sendJson(response, 200, { resources: [] }));
    const object = { apiVersion: 'test.shard.io/v1', kind: 'Nothing', metadata: { name: 'a' } };
    const error = await failureOf(clientOf(trusting()).apply({ object, fieldManager: 'me' }));
    expect(error.code).toBe('SC_KUBERNETES_UNKNOWN_KIND');
    expect(error.message).toContain(
      'no kind Nothing in test.shard.io/v1. Remedy: install its CustomResourceDefinition',
    );
  });

  it('list follows the pages, and find knows what does not exist', async () => {
    const client = clientOf(trusting());
    for (let n = 0; n < 1_100; n += 1) server.store(THINGS).put(`thing-${n}`);
    const { items, resourceVersion } = await client.list(THINGS, { query: { labelSelector: 'a=b' } });
    expect(items).toHaveLength(1_101);
    expect(resourceVersion).toBe('1201');
    expect(server.seen('list').map((request) => request.query.get('labelSelector'))).toEqual(['a=b', 'a=b', 'a=b']);
    expect(await client.find(`${THINGS}/nobody`)).toBeUndefined();
  });

  it('keeps the path prefix of a server and joins queries', async () => {
    const client = clientOf(
      staticEndpoint({ server: `${server.url}/k8s/clusters/c1/`, ca: server.serving.certificate }),
    );
    server.inject('list', (_, response) => sendJson(response, 200, {}));
    await client.get('/api/v1/things?a=1', { query: { b: 'x y', c: undefined } });
    expect(server.requests[0]?.path).toBe('/k8s/clusters/c1/api/v1/things');
    expect(server.requests[0]?.query.toString()).toBe('a=1&b=x+y');
    expect(server.requests[0]?.headers['user-agent']).toBe('shard-test/1');
  });
});

describe('streams', () => {
  it('hands over status, headers and bytes as they are, and asks only what the caller asks', async () => {
    server.inject('object', (request, response) => {
      response.writeHead(418, { 'content-encoding': 'gzip', 'x-seen': String(request.headers['accept-encoding']) });
      response.end(Buffer.from([1, 2, 3]));
    });
    const answer = await clientOf(trusting()).stream({ path: THING, headers: { 'Accept-Encoding': 'gzip' } });
    const chunks: Buffer[] = [];
    for await (const chunk of answer.body) if (chunk instanceof Buffer) chunks.push(chunk);
    expect(answer.status).toBe(418);
    expect(answer.headers['x-seen']).toBe('gzip');
    expect(Buffer.concat(chunks)).toEqual(Buffer.from([1, 2, 3]));
  });

  it('stops waiting for headers when told to', async () => {
    server.inject('object', () => {});
    const failure = await failureOf(clientOf(trusting()).stream({ path: THING, headersTimeoutMs: 200 }));
    expect(failure.code).toBe('SC_KUBERNETES_TIMEOUT');
  });

  it('ends the body when the signal aborts', async () => {
    const stop = new AbortController();
    const { body } = await clientOf(trusting()).stream({
      path: THINGS,
      query: { watch: true, resourceVersion: '1' },
      signal: stop.signal,
    });
    const ended = new Promise<void>((resolve) => body.on('error', () => resolve()));
    stop.abort();
    await ended;
    await waitUntil('the server sees it', () => server.watches.size === 0);
    expect(body.destroyed).toBe(true);
  });
});
