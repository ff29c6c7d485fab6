import { KubernetesClient, staticEndpoint } from '@shard-controller/shared/kubernetes';
import { createLogger } from '@shard-controller/shared/observability';
import { systemClock } from '@shard-controller/shared/runtime';
import { createDataPlane, type DataPlane } from '@shard-controller/worker/data-plane';
import type { StandaloneApiServer } from '../cluster/standalone-api-server.ts';
import { Exporter, kubeconfigOf } from '../worker/exporter-rig.ts';
import { GOLDEN_STATE_KINDS } from './custom-kinds.ts';

export interface FleetOptions {
  readonly name: string;
  readonly workers: number;
  readonly shardBy: 'uid' | 'namespace';
  /** Flags of every kube-state-metrics, the unsharded one included. */
  readonly flags: readonly string[];
}

export interface FleetDifference {
  /** Samples of the unsharded exporter that the workers show less often, and the reverse; some of them. */
  readonly missing: readonly string[];
  readonly extra: readonly string[];
  /** HELP, TYPE and EOF lines that a worker shows and the unsharded exporter does not, or no worker and that one does. */
  readonly comments: readonly string[];
  /** Samples that are in the union more than once. */
  readonly doubled: number;
}

export const EQUAL: FleetDifference = { missing: [], extra: [], comments: [], doubled: 0 };

const SLOTS = 256;

interface Worker {
  readonly plane: DataPlane;
  /** Resources that the exporter has asked for, in order. */
  readonly requests: readonly string[];
  /** Events and objects of CustomResourceDefinitions: from the API server, and passed on. */
  readonly definitions: { readonly received: number; readonly kept: number };
  readonly exporter: Exporter;
  readonly stop: () => Promise<void>;
}

/** One unsharded kube-state-metrics and one per worker, all with the same flags. */
export class GoldenFleet {
  readonly options: FleetOptions;
  readonly reference: Exporter;
  readonly workers: readonly Worker[];

  static async start(api: StandaloneApiServer, options: FleetOptions): Promise<GoldenFleet> {
    const reference = await Exporter.create(options.name, api.server, kubeconfigOf(api), options.flags);
    reference.start();
    const indexes = Array.from({ length: options.workers }, (_, i) => i);
    return new GoldenFleet(options, reference, await Promise.all(indexes.map((i) => startWorker(api, options, i))));
  }

  private constructor(options: FleetOptions, reference: Exporter, workers: readonly Worker[]) {
    this.options = options;
    this.reference = reference;
    this.workers = workers;
  }

  isWarm(): boolean {
    return this.workers.every(({ plane }) => {
      const { warm, slots } = plane.status();
      return warm && slots.assigned === slots.acknowledged;
    });
  }

  /** How the union of the workers' expositions differs from the unsharded one. */
  async difference(accept?: string): Promise<FleetDifference> {
    const [whole = [], ...parts] = await Promise.all(
      [this.reference, ...this.workers.map(({ exporter }) => exporter)].map((exporter) => exporter.exposition(accept)),
    );
    const expected = counted(whole.filter(isSample));
    const union = counted(parts.flat().filter(isSample));
    // An exporter without an object of a kind leaves the comments of that kind out.
    const comments = new Set(whole.filter((line) => !isSample(line)));
    const shown = new Set(parts.flat().filter((line) => !isSample(line)));
    return {
      missing: surplus(expected, union),
      extra: surplus(union, expected),
      comments: [...comments]
        .filter((line) => !shown.has(line))
        .concat([...shown].filter((line) => !comments.has(line)))
        .slice(0, 5),
      doubled: [...union.values()].filter((count) => count > 1).length,
    };
  }

  async stop(): Promise<void> {
    await Promise.all([this.reference.stop(), ...this.workers.map((worker) => worker.stop())]);
  }
}

async function startWorker(api: StandaloneApiServer, options: FleetOptions, index: number): Promise<Worker> {
  const name = `${options.name}-${index}`;
  const logger = createLogger({ name, level: process.env['RIG_LOG_LEVEL'] === 'info' ? 'info' : 'error' });
  const endpoint = staticEndpoint({ server: api.server, ca: api.ca, token: api.adminToken });
  const client = new KubernetesClient({ endpoint, logger, userAgent: name });
  const listening = Promise.withResolvers<number>();
  const requests: string[] = [];
  const definitions = { received: 0, kept: 0 };
  const plane = createDataPlane({
    upstream: client,
    logger,
    clock: systemClock,
    host: '127.0.0.1',
    port: 0,
    customResources: GOLDEN_STATE_KINDS,
    metrics: {
      frames: (resource, received, kept) => {
        if (resource !== 'customresourcedefinitions') return;
        definitions.received += received;
        definitions.kept += kept;
      },
      relist: () => undefined,
      reconnect: () => undefined,
      pushdown: () => undefined,
      exporterRequest: (resource) => requests.push(resource),
    },
    onListening: (port) => listening.resolve(port),
  });
  const stop = new AbortController();
  const running = plane.run(stop.signal);
  plane.applyAssignment({
    generation: 1,
    epoch: 1,
    slotCount: SLOTS,
    shardBy: options.shardBy,
    owned: Array.from({ length: SLOTS }, (_, slot) => slot).filter((slot) => slot % options.workers === index),
    warm: [],
    release: [],
  });
  const exporter = await Exporter.create(name, `http://127.0.0.1:${await listening.promise}`, undefined, options.flags);
  exporter.start();
  return {
    plane,
    exporter,
    requests,
    definitions,
    stop: async () => {
      await exporter.stop();
      stop.abort();
      await running;
      await client.close();
    },
  };
}

const isSample = (line: string): boolean => !line.startsWith('#');

function counted(lines: readonly string[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const line of lines) counts.set(line, (counts.get(line) ?? 0) + 1);
  return counts;
}

/** Some of what `a` has more often than `b`. */
function surplus(a: ReadonlyMap<string, number>, b: ReadonlyMap<string, number>): string[] {
  return [...a]
    .filter(([line, count]) => count > (b.get(line) ?? 0))
    .map(([line]) => line)
    .slice(0, 5);
}
