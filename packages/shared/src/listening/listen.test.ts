import { createServer, type Server } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { listen, ListenError } from './listen.ts';

const servers: Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) server.close();
});

function newServer(): Server {
  const server = createServer();
  servers.push(server);
  return server;
}

const failing = (error: Error): never => {
  throw error;
};

describe('listen', () => {
  it('resolves with the port, and tells of later errors', async () => {
    const server = newServer();
    const errors: Error[] = [];
    expect(await listen(server, { port: 0, variable: 'PORT' }, (error) => errors.push(error))).toBeGreaterThan(0);
    server.emit('error', new Error('too many open files'));
    expect(errors.map(({ message }) => message)).toEqual(['too many open files']);
  });

  it('names the port and its variable when the port is taken', async () => {
    const at = { host: '127.0.0.1', variable: 'GATEWAY_PORT' };
    const port = await listen(newServer(), { ...at, port: 0 }, failing);
    await expect(listen(newServer(), { ...at, port }, failing)).rejects.toMatchObject({
      name: 'ListenError',
      code: 'SC_PORT_IN_USE',
      port,
      message: `port 127.0.0.1:${port} is in use by another process: free it, or set GATEWAY_PORT to another port`,
    });
  });

  it.each([
    ['EACCES', 'port *:80 may not be opened by this user: set PORT to a port above 1023'],
    ['EADDRNOTAVAIL', 'cannot listen on *:80: broken; set PORT to a usable port'],
  ])('says what to do after %s', (code, message) => {
    const error = new ListenError({ port: 80, variable: 'PORT' }, Object.assign(new Error('broken'), { code }));
    expect(error).toMatchObject({ code: 'SC_LISTEN', message });
  });
});
