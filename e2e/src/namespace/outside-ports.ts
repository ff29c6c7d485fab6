import { rmSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { CONTROL_SOCKET, type ListenAnswer, parseListenRequest } from './port-protocol.ts';

/**
 * The outside half of the forwarders: inside code asks on a control socket for a port, and every connection to
 * 127.0.0.1:<port> out here goes to the unix socket that it named. Ports live as long as the asking connection.
 */
export class OutsidePorts {
  readonly #folder: string;
  readonly #sockets = new Set<Socket>();
  readonly #servers = new Set<Server>();

  constructor(folder: string) {
    this.#folder = folder;
  }

  async start(): Promise<void> {
    const path = join(this.#folder, CONTROL_SOCKET);
    rmSync(path, { force: true });
    await listen(
      this.#server((socket) => this.#control(socket)),
      { path },
    );
  }

  stop(): void {
    for (const server of this.#servers) server.close();
    for (const socket of this.#sockets) socket.destroy();
  }

  #server(onSocket: (socket: Socket) => void): Server {
    const server = createServer({ allowHalfOpen: true }, (socket) => {
      this.#track(socket);
      onSocket(socket);
    });
    this.#servers.add(server);
    server.on('close', () => this.#servers.delete(server));
    return server;
  }

  #track(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on('error', () => socket.destroy());
    socket.on('close', () => this.#sockets.delete(socket));
  }

  #control(control: Socket): void {
    const opened: Server[] = [];
    control.on('end', () => control.end());
    control.on('close', () => {
      for (const server of opened) server.close();
    });
    createInterface({ input: control }).on('line', (line) => {
      void this.#open(line).then(
        ({ server, answer }) => {
          if (server !== undefined) opened.push(server);
          control.write(`${JSON.stringify(answer)}\n`);
        },
        (error: unknown) => control.write(`${JSON.stringify({ error: String(error) } satisfies ListenAnswer)}\n`),
      );
    });
  }

  async #open(line: string): Promise<{ server?: Server; answer: ListenAnswer }> {
    const request = parseListenRequest(line);
    if (request === undefined) return { answer: { error: `not a listen request: ${line.slice(0, 200)}` } };
    const server = this.#server((socket) => {
      const inner = connect({ path: request.socket, allowHalfOpen: true });
      this.#track(inner);
      inner.on('close', () => socket.destroy());
      socket.on('close', () => inner.destroy());
      socket.pipe(inner);
      inner.pipe(socket);
    });
    const port = await listen(server, { host: '127.0.0.1', port: request.port ?? 0 });
    return { server, answer: { port } };
  }
}

function listen(server: Server, where: { path: string } | { host: string; port: number }): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(where, () => {
      const address = server.address();
      resolve(typeof address === 'object' && address !== null ? address.port : 0);
    });
  });
}
