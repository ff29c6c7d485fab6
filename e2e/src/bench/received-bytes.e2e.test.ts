import { createServer, connect, type AddressInfo, type Server } from 'node:net';
import { once } from 'node:events';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { API_SERVER_ADDRESS, BRIDGE_ADDRESS } from '../namespace/index.ts';
import { ReceivedBytes } from './received-bytes.ts';

const ANSWER = Buffer.alloc(200_000);
const received = new ReceivedBytes();
const pods = new Map([['this', process.pid]]);
let server: Server;

beforeAll(async () => {
  server = createServer((socket) =>
    socket
      .on('error', () => {})
      .on('data', (request) => {
        socket.write(ANSWER);
        // "last": the answer is the only one.
        if (request.toString() === 'last') socket.end();
      }),
  );
  server.listen(0, API_SERVER_ADDRESS);
  await once(server, 'listening');
});

afterAll(() => {
  received.stop();
  server.close();
});

async function read(request: string) {
  const { port } = server.address() as AddressInfo;
  const socket = connect({ port, host: API_SERVER_ADDRESS, localAddress: BRIDGE_ADDRESS });
  let bytes = 0;
  const whole = new Promise<void>((resolve) => {
    socket.on('data', (chunk) => {
      bytes += chunk.length;
      if (bytes === ANSWER.length) resolve();
    });
  });
  socket.write(request);
  await whole;
  return socket;
}

test('every connection counts, however short, once, while it is open and when it has ended', async () => {
  await received.look(pods);
  // A listener says nothing when it begins to listen: until one short connection was seen.
  const heard = async (): Promise<number> => {
    await read('last');
    return received.of('this');
  };
  await expect.poll(heard, { interval: 100 }).toBeGreaterThan(0);
  await received.look(pods);
  const before = received.of('this');
  for (let i = 0; i < 30; i++) await read('last');
  // The end of a connection counts as one byte.
  const short = 30 * (ANSWER.length + 1);
  await expect.poll(() => received.of('this') - before).toBe(short);

  const socket = await read('more');
  await received.look(pods);
  expect(received.of('this') - before).toBe(short + ANSWER.length);
  socket.destroy();
  await expect.poll(() => received.of('this') - before).toBe(short + ANSWER.length + 1);
  await received.look(pods);
  expect(received.of('this') - before).toBe(short + ANSWER.length + 1);
});
