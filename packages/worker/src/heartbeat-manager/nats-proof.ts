import type { NatsLink } from '@shard-controller/shared/nats';
import type { Clock } from '@shard-controller/shared/runtime';

export interface NatsProofOptions {
  readonly clock: Clock;
  /** Called on each change of `delivers`. */
  readonly onChange: (delivers: boolean) => void;
}

/** An answer of NATS that takes longer is none, ms. */
const PATIENCE_MS = 1_000;

/**
 * Whether NATS takes what this worker sends, by a round trip with each heartbeat. A connection whose packets get lost
 * looks well for seconds, and a manager that hears nothing needs another sign of life before it takes the worker for lost.
 */
export class NatsProof {
  readonly #options: NatsProofOptions;
  #delivers = false;
  #asking = false;

  constructor(options: NatsProofOptions) {
    this.#options = options;
  }

  get delivers(): boolean {
    return this.#delivers;
  }

  /** A heartbeat was sent by `link`, or could not be. */
  beat(link: Pick<NatsLink, 'connected' | 'answers'> | undefined): void {
    if (link?.connected !== true) return this.#set(false);
    if (this.#asking) return;
    this.#asking = true;
    const answered = new AbortController();
    void this.#options.clock.sleep(PATIENCE_MS, answered.signal).then(() => {
      if (!answered.signal.aborted) this.#set(false);
    });
    void link.answers().then((answers) => {
      this.#asking = false;
      answered.abort();
      this.#set(answers);
    });
  }

  /** The connection is closed. */
  lost(): void {
    this.#set(false);
  }

  #set(delivers: boolean): void {
    if (this.#delivers === delivers) return;
    this.#delivers = delivers;
    this.#options.onChange(delivers);
  }
}
