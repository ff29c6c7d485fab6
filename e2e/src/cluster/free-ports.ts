import { createServer } from 'node:net';

/**
 * Where ports are looked for: below those that Linux gives to outgoing connections, which come and go by the hundred
 * here and would take a port between the look and its use, or while its server is being restarted.
 */
const FIRST = 20_000;
/** Test files that run side by side, at most, and ports for each. */
const SHARES = 8;
const SHARE = 1_500;

const share = Number(process.env['VITEST_POOL_ID'] ?? 0) % SHARES;
let next = Math.floor(Math.random() * SHARE);

/**
 * Ports of 127.0.0.1 that no process listens on. Every call gives others, and test files that run at the same time never
 * get the same.
 */
export async function freePorts(count: number): Promise<readonly number[]> {
  const ports: number[] = [];
  for (let looked = 0; ports.length < count; looked++) {
    if (looked === SHARE) throw new Error(`fewer than ${count} ports are free from ${FIRST + share * SHARE} on`);
    const port = FIRST + share * SHARE + (next++ % SHARE);
    if (await isFree(port)) ports.push(port);
  }
  return ports;
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}
