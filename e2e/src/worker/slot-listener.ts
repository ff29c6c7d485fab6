import type { KubernetesClient } from '@shard-controller/shared/kubernetes';
import { createLogger } from '@shard-controller/shared/observability';
import { systemClock } from '@shard-controller/shared/runtime';
import { createDataPlane, type DataPlane, type SlotAssignment } from '@shard-controller/worker/data-plane';
import type { StandaloneApiServer } from '../cluster/standalone-api-server.ts';
import { clientOf, slots } from './exporter-rig.ts';

export const SLOTS = 256;
export const ALL_SLOTS = slots(0, SLOTS);

/** A data plane in this process with a listener for clients and no exporter: what clients of one shard see. */
export class SlotListener {
  readonly plane: DataPlane;
  readonly url: string;
  readonly #client: KubernetesClient;
  readonly #stop: AbortController;
  readonly #running: Promise<void>;
  #epoch = 0;

  static async start(api: StandaloneApiServer, owned: readonly number[]): Promise<SlotListener> {
    const logger = createLogger({ name: 'listener', level: 'error' });
    const client = clientOf(api, logger, 'listener');
    const stop = new AbortController();
    const started = Promise.withResolvers<number>();
    const plane = createDataPlane({
      upstream: client,
      logger,
      clock: systemClock,
      host: '127.0.0.1',
      port: 0,
      clientPort: 0,
      onClientListening: (port) => started.resolve(port),
    });
    const running = plane.run(stop.signal);
    running.catch((error: unknown) => started.reject(error));
    const listener = new SlotListener(plane, `http://127.0.0.1:${await started.promise}`, client, stop, running);
    listener.own(owned);
    return listener;
  }

  private constructor(
    plane: DataPlane,
    url: string,
    client: KubernetesClient,
    stop: AbortController,
    running: Promise<void>,
  ) {
    this.plane = plane;
    this.url = url;
    this.#client = client;
    this.#stop = stop;
    this.#running = running;
  }

  /** Owns exactly these slots from now on. */
  own(owned: readonly number[], shardBy: SlotAssignment['shardBy'] = 'uid'): void {
    const others = ALL_SLOTS.filter((slot) => !owned.includes(slot));
    this.plane.applyAssignment({
      generation: 1,
      epoch: ++this.#epoch,
      slotCount: SLOTS,
      shardBy,
      owned,
      warm: [],
      release: others.length === 0 ? [] : [{ migration: 'test', slots: others }],
    });
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#running;
    await this.#client.close();
  }
}
