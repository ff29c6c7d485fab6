import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type KubernetesClient, resourcePath } from '@shard-controller/shared/kubernetes';
import { z } from 'zod';

export interface MetricsFrontOptions {
  readonly client: KubernetesClient;
  readonly namespace: string;
  /** Label selector of the pods whose metrics are shown. */
  readonly selector: string;
  readonly port: number;
}

const podSchema = z.looseObject({
  metadata: z.looseObject({ name: z.string() }),
  status: z.looseObject({ podIP: z.string().optional() }).optional(),
});

/**
 * Pods have addresses that only the namespace knows. This shows their `/metrics` under one port: `/` lists the pods,
 * `/<pod>/metrics` is one of them, and `/targets` is the list in Prometheus' HTTP service discovery form.
 */
export class MetricsFront {
  readonly #options: MetricsFrontOptions;
  readonly #server = createServer((incoming, answer) => void this.#answer(incoming, answer));

  constructor(options: MetricsFrontOptions) {
    this.#options = options;
  }

  /** @returns where it listens, inside the namespace */
  async start(): Promise<{ readonly host: string; readonly port: number }> {
    const host = '127.0.0.1';
    await new Promise<void>((resolve) => this.#server.listen(0, host, resolve));
    const address: AddressInfo | string | null = this.#server.address();
    if (address === null || typeof address === 'string') throw new Error('the metrics front has no port');
    return { host, port: address.port };
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async #answer(incoming: IncomingMessage, answer: ServerResponse): Promise<void> {
    try {
      const pods = await this.#pods();
      const path = new URL(incoming.url ?? '/', 'http://front').pathname;
      const pod = /^\/([^/]+)\/metrics$/.exec(path)?.[1];
      if (pod !== undefined) return this.#forward(pods.get(pod), pod, answer);
      const names = [...pods.keys()];
      if (path === '/targets') {
        const host = incoming.headers.host ?? '127.0.0.1';
        const groups = names.map((name) => ({
          targets: [host],
          labels: { pod: name, __metrics_path__: `/${name}/metrics` },
        }));
        answer.writeHead(200, { 'content-type': 'application/json' }).end(`${JSON.stringify(groups)}\n`);
      } else if (path === '/') {
        answer.writeHead(200, { 'content-type': 'text/plain' }).end(names.map((name) => `/${name}/metrics\n`).join(''));
      } else {
        answer.writeHead(404, { 'content-type': 'text/plain' }).end('see / for what is here\n');
      }
    } catch (error) {
      answer.writeHead(502, { 'content-type': 'text/plain' }).end(`${String(error)}\n`);
    }
  }

  #forward(ip: string | undefined, pod: string, answer: ServerResponse): void {
    if (ip === undefined) {
      answer.writeHead(404, { 'content-type': 'text/plain' }).end(`no pod ${pod} with an address\n`);
      return;
    }
    const outgoing = request(`http://${ip}:${this.#options.port}/metrics`, { agent: false }, (response) => {
      answer.writeHead(response.statusCode ?? 502, response.headers);
      response.pipe(answer);
    });
    outgoing.on('error', (error) => {
      if (answer.headersSent) answer.destroy();
      else answer.writeHead(502, { 'content-type': 'text/plain' }).end(`${pod}: ${error.message}\n`);
    });
    answer.on('close', () => outgoing.destroy());
    outgoing.end();
  }

  async #pods(): Promise<ReadonlyMap<string, string>> {
    const { client, namespace, selector } = this.#options;
    const path = resourcePath({ group: '', version: 'v1', resource: 'pods', namespace });
    const list = await client.list<unknown>(path, { query: { labelSelector: selector } });
    const pods = new Map<string, string>();
    for (const item of list.items) {
      const { metadata, status } = podSchema.parse(item);
      if (status?.podIP !== undefined) pods.set(metadata.name, status.podIP);
    }
    return pods;
  }
}
