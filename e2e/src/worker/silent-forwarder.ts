import { connect, createServer, type Server, type Socket } from 'node:net';

interface Pair {
  readonly near: Socket;
  readonly far: Socket;
}

/**
 * A TCP forwarder that can go silent: connections stay open and are acknowledged by the kernel, but nothing comes
 * through from then on, as when a load balancer or a stateful firewall has lost them.
 */
export class SilentForwarder {
  readonly #server: Server;
  readonly #pairs = new Set<Pair>();
  #isSilent = false;

  static async start(target: { readonly host: string; readonly port: number }): Promise<SilentForwarder> {
    const forwarder = new SilentForwarder(target);
    await new Promise<void>((resolve) => forwarder.#server.listen(0, '127.0.0.1', resolve));
    return forwarder;
  }

  private constructor(target: { readonly host: string; readonly port: number }) {
    this.#server = createServer((near) => {
      const pair: Pair = { near, far: connect(target) };
      this.#pairs.add(pair);
      for (const [from, to] of [
        [near, pair.far],
        [pair.far, near],
      ] as const) {
        from.on('error', () => undefined);
        from.on('close', () => {
          to.destroy();
          this.#pairs.delete(pair);
        });
        from.pipe(to);
      }
      if (this.#isSilent) silence(pair);
    });
  }

  get port(): number {
    const address = this.#server.address();
    if (address === null || typeof address === 'string') throw new Error('the forwarder is not listening');
    return address.port;
  }

  /** The connections that are open now send nothing from now on; new ones work. */
  silenceOpen(): void {
    for (const pair of this.#pairs) silence(pair);
  }

  /** Nothing comes through until `heal`. */
  silenceAll(): void {
    this.#isSilent = true;
    this.silenceOpen();
  }

  /** New connections work again; the silent ones are reset, as a network does that no longer knows them. */
  heal(): void {
    this.#isSilent = false;
    for (const { near, far } of this.#pairs) {
      near.resetAndDestroy();
      far.destroy();
    }
  }

  async stop(): Promise<void> {
    for (const { near, far } of this.#pairs) {
      near.destroy();
      far.destroy();
    }
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

function silence({ near, far }: Pair): void {
  near.unpipe(far);
  far.unpipe(near);
  near.pause();
  far.pause();
}
