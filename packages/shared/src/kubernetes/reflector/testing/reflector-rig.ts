import { Registry } from 'prom-client';
import { afterEach, beforeEach } from 'vitest';
import { createLogger } from '../../../observability/index.ts';
import { waitUntil } from '../../../testing/index.ts';
import { KubernetesClient, staticEndpoint } from '../../client/index.ts';
import { FakeApiServer, type OpenWatch } from '../../testing/fake-api-server.ts';
import type { Parsed } from '../object-cache.ts';
import { reflectorMetrics } from '../reflector-metrics.ts';
import type { ReflectorOptions } from '../reflector-options.ts';
import { Reflector } from '../reflector.ts';
import { Mirror } from './mirror.ts';

export type Raw = Readonly<Record<string, unknown>>;

export const THINGS = '/apis/test.shard.io/v1/namespaces/x/things';

/** Reflectors of one collection of a fake API server, which they mirror. */
export class ReflectorRig {
  readonly mirror = new Mirror();
  readonly log: string[] = [];
  /** Ends the reflectors that were started with it. */
  stop = new AbortController();
  readonly runs: Promise<void>[] = [];
  readonly server: FakeApiServer;
  readonly client: KubernetesClient;
  readonly #registry = new Registry();
  readonly #logger = createLogger({
    name: 'test',
    level: 'debug',
    destination: { write: (line) => void this.log.push(line) },
  });

  constructor(server: FakeApiServer) {
    this.server = server;
    this.client = new KubernetesClient({
      endpoint: staticEndpoint({ server: server.url, ca: server.serving.certificate }),
      logger: this.#logger,
      userAgent: 'test',
      requestTimeoutMs: 60_000,
    });
  }

  reflect(options: Partial<ReflectorOptions<Raw>> = {}): Reflector<Raw> {
    const reflector = new Reflector<Raw>({
      client: this.client,
      path: THINGS,
      parse: (raw): Parsed<Raw> => ({ ok: true, value: raw }),
      handler: this.mirror,
      logger: this.#logger,
      metrics: reflectorMetrics(this.#registry, 'things'),
      maxBackoffMs: 50,
      ...options,
    });
    this.runs.push(reflector.run(this.stop.signal));
    return reflector;
  }

  async failures(cause: string): Promise<number> {
    const metric = await this.#registry.getSingleMetric('shard_controller_reflector_failures_total')?.get();
    return metric?.values.find((value) => value.labels['cause'] === cause)?.value ?? 0;
  }

  async onlyWatch(): Promise<OpenWatch> {
    await waitUntil('exactly one watch is open', () => this.server.watches.size === 1);
    const [watch] = this.server.watches;
    if (watch === undefined) throw new Error('no watch');
    return watch;
  }

  async expectFollowing(): Promise<void> {
    this.server.store(THINGS).put('proof');
    await waitUntil('the mirror follows', () => this.mirror.names().includes('proof'));
  }

  async close(): Promise<void> {
    this.stop.abort();
    await Promise.all(this.runs);
    await this.client.close();
    await this.server.stop();
  }
}

/** A rig of its own for each test of the file. */
export function reflectorRigs(): () => ReflectorRig {
  let rig: ReflectorRig | undefined;
  beforeEach(async () => {
    rig = new ReflectorRig(await FakeApiServer.start());
  });
  afterEach(async () => rig?.close());
  return () => {
    if (rig === undefined) throw new Error('no test runs');
    return rig;
  };
}
