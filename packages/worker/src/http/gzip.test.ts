import { randomBytes } from 'node:crypto';
import { createServer, get, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { until } from '@shard-controller/shared/testing';
import { afterEach, expect, test } from 'vitest';
import { gzipInto } from './gzip.ts';

const ends: (() => void)[] = [];
afterEach(() => {
  for (const end of ends.splice(0)) end();
});

/** Both ends of an answer that is packed. */
async function answered(): Promise<{ response: ServerResponse; answer: IncomingMessage }> {
  const served = Promise.withResolvers<ServerResponse>();
  const server = createServer((_, response) => {
    response.writeHead(200, { 'content-encoding': 'gzip' });
    response.flushHeaders();
    served.resolve(response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  ends.push(() => {
    server.close();
    server.closeAllConnections();
  });
  const answer = await new Promise<IncomingMessage>((resolve) => {
    get({ port: (server.address() as AddressInfo).port }, resolve);
  });
  return { response: await served.promise, answer };
}

test('a client that stalls is rid of, not left with a response that never ends', async () => {
  const { response, answer } = await answered();
  let how = '';
  answer.on('end', () => (how = 'ended'));
  answer.on('error', () => (how = 'broken'));
  const sink = gzipInto(response);
  while (sink.write(randomBytes(64 * 1024))) await new Promise((resolve) => setImmediate(resolve));
  sink.destroy();
  await until(() => response.destroyed);
  answer.resume();
  await until(() => how !== '');
  expect(how).toBe('broken');
});

test('an answer that was written to its end arrives whole', async () => {
  const { response, answer } = await answered();
  let bytes = 0;
  answer.on('data', (chunk: Buffer) => (bytes += chunk.length));
  const sink = gzipInto(response);
  sink.end(randomBytes(1024 * 1024));
  await until(() => answer.complete && answer.readableEnded);
  expect(bytes).toBeGreaterThan(1024 * 1024);
});
