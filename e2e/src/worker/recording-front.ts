import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

/** A TCP front of a local port that keeps what the server behind it sends. */
export class RecordingFront {
  readonly port: number;
  readonly #server: Server;
  readonly #sockets: Set<Socket>;
  readonly #chunks: Buffer[];

  static async start(target: number): Promise<RecordingFront> {
    const sockets = new Set<Socket>();
    const chunks: Buffer[] = [];
    const server = createServer((client) => {
      const upstream = connect(target, '127.0.0.1');
      for (const socket of [client, upstream]) {
        sockets.add(socket);
        socket.on('error', () => {});
        socket.on('close', () => {
          sockets.delete(socket);
          client.destroy();
          upstream.destroy();
        });
      }
      upstream.on('data', (chunk: Buffer) => chunks.push(chunk));
      client.pipe(upstream).pipe(client);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return new RecordingFront(server, sockets, chunks);
  }

  private constructor(server: Server, sockets: Set<Socket>, chunks: Buffer[]) {
    this.port = (server.address() as AddressInfo).port;
    this.#server = server;
    this.#sockets = sockets;
    this.#chunks = chunks;
  }

  /** Everything that was sent so far; connections are mixed. */
  recorded(): Buffer {
    return Buffer.concat(this.#chunks);
  }

  async stop(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}
