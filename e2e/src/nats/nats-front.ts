import { createServer, connect, type Server, type Socket } from 'node:net';

/** A TCP front of a NATS server that can lose what the server says. */
export class NatsFront {
  readonly #target: URL;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #deaf = false;
  #blocked = false;
  #rewriteGreeting: ((greeting: string) => string) | undefined;

  private constructor(target: string) {
    this.#target = new URL(target);
    this.#server = createServer((client) => this.#forward(client));
  }

  static async start(target: string): Promise<NatsFront> {
    const front = new NatsFront(target);
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    front.#server.once('error', reject);
    front.#server.listen(0, '127.0.0.1', resolve);
    await promise;
    return front;
  }

  get url(): string {
    const address = this.#server.address();
    if (address === null || typeof address === 'string') throw new Error('the front is closed');
    return `nats://127.0.0.1:${address.port}`;
  }

  /** From now on the client's bytes reach the server, but no answer comes back. */
  swallowAnswers(): void {
    this.#deaf = true;
  }

  /** Lets answers through again, for new connections only: what was swallowed is lost for good. */
  hear(): void {
    this.#deaf = false;
    this.cut();
  }

  /** Breaks all connections and takes no new ones. */
  block(): void {
    this.#blocked = true;
    this.cut();
  }

  unblock(): void {
    this.#blocked = false;
  }

  /** Breaks all connections. */
  cut(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  /** Changes what the server says about itself (it does so more than once), as an older server would word it. */
  rewriteGreeting(rewrite: (greeting: string) => string): void {
    this.#rewriteGreeting = rewrite;
  }

  async close(): Promise<void> {
    this.cut();
    await new Promise((closed) => this.#server.close(closed));
  }

  #forward(client: Socket): void {
    if (this.#blocked) {
      client.destroy();
      return;
    }
    const server = connect(Number(this.#target.port), this.#target.hostname);
    for (const socket of [client, server]) {
      this.#sockets.add(socket);
      socket.on('error', () => undefined);
      socket.on('close', () => {
        this.#sockets.delete(socket);
        client.destroy();
        server.destroy();
      });
    }
    client.on('data', (bytes) => server.write(bytes));
    server.on('data', (bytes) => {
      if (this.#deaf) return;
      const rewrite = this.#rewriteGreeting;
      client.write(rewrite === undefined ? bytes : rewrite(bytes.toString('latin1')), 'latin1');
    });
  }
}
