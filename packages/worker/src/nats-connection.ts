import { NatsLink, type NatsLinkOptions, NatsVersionError } from '@shard-controller/shared/nats';
import type { Logger } from '@shard-controller/shared/observability';
import type { Clock } from '@shard-controller/shared/runtime';

export interface NatsConnectionOptions {
  readonly link: NatsLinkOptions;
  readonly logger: Logger;
  readonly clock: Clock;
  /** Makes the subscriptions of this worker; called for each link before it is opened. */
  readonly onLink: (link: NatsLink) => void;
  readonly onStatus: (connected: boolean) => void;
}

const VERSION_RETRY_MS = 30_000;

/**
 * The worker's link to NATS. A worker serves without it: NATS may be absent, or too old, at the start and at any time
 * later, and is taken up as soon as it is usable.
 */
export class NatsConnection {
  readonly #options: NatsConnectionOptions;
  #link: NatsLink | undefined;

  constructor(options: NatsConnectionOptions) {
    this.#options = options;
  }

  get link(): NatsLink | undefined {
    return this.#link;
  }

  get connected(): boolean {
    return this.#link?.connected ?? false;
  }

  /** Runs until `signal` aborts. @throws NatsConfigError when the configuration cannot work. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, logger } = this.#options;
    while (!signal.aborted) {
      const link = new NatsLink(this.#options.link);
      this.#link = link;
      this.#options.onLink(link);
      link.onStatus(({ connected }) => this.#options.onStatus(connected));
      try {
        await link.open();
      } catch (error) {
        if (!(error instanceof NatsVersionError)) throw error;
        logger.error({ code: error.code }, `${error.message}; serving without NATS meanwhile`);
        await clock.sleep(VERSION_RETRY_MS, signal);
        continue;
      }
      if (!signal.aborted) await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
      await link.close();
    }
  }
}
