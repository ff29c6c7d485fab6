import { connect, createServer, type Server, type Socket } from 'node:net';

/** A TCP forwarder that spreads new connections over its targets in turn, as a load balancer before API servers does. */
export class SwitchingForwarder {
  readonly #server: Server;
  readonly #pairs = new Set<readonly [Socket, Socket]>();
  #targets: readonly URL[];
  #next = 0;

  static async start(...targets: readonly string[]): Promise<SwitchingForwarder> {
    const forwarder = new SwitchingForwarder(targets);
    await new Promise<void>((resolve) => forwarder.#server.listen(0, '127.0.0.1', resolve));
    return forwarder;
  }

  private constructor(targets: readonly string[]) {
    this.#targets = targets.map((target) => new URL(target));
    this.#server = createServer((near) => {
      const target = this.#targets[this.#next++ % this.#targets.length];
      const far = connect({ host: '127.0.0.1', port: Number(target?.port) });
      const pair = [near, far] as const;
      this.#pairs.add(pair);
      for (const [from, to] of [pair, [far, near] as const]) {
        from.on('error', () => undefined);
        from.on('close', () => {
          to.destroy();
          this.#pairs.delete(pair);
        });
        from.pipe(to);
      }
    });
  }

  get url(): string {
    const address = this.#server.address();
    if (address === null || typeof address === 'string') throw new Error('the forwarder is not listening');
    return `https://127.0.0.1:${address.port}`;
  }

  /** Later connections go to these. */
  switchTo(...targets: readonly string[]): void {
    this.#targets = targets.map((target) => new URL(target));
  }

  /** Resets all open connections. */
  cut(): void {
    for (const [near, far] of this.#pairs) {
      near.resetAndDestroy();
      far.destroy();
    }
  }

  async stop(): Promise<void> {
    this.cut();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}
