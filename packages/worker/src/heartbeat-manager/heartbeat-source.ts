import type { Heartbeat } from '@shard-controller/shared/contracts';
import type { Clock } from '@shard-controller/shared/runtime';
import type { WorkerIdentity } from '../worker-identity.ts';
import { fitting } from './fitting.ts';
import { heartbeatOf } from './heartbeat.ts';
import type { WorkerSnapshot } from './worker-snapshot.ts';

/** Numbers the heartbeats of this process; every one that leaves it comes from here. */
export class HeartbeatSource {
  readonly #identity: WorkerIdentity;
  readonly #snapshot: () => WorkerSnapshot;
  readonly #clock: Clock;
  #sequence = 0;

  constructor(identity: WorkerIdentity, snapshot: () => WorkerSnapshot, clock: Clock) {
    this.#identity = identity;
    this.#snapshot = snapshot;
    this.#clock = clock;
  }

  /** The state of this moment, in a message that fits into NATS. */
  next(): Heartbeat {
    this.#sequence += 1;
    return this.peek();
  }

  /** The same for a use that is no heartbeat: with the number of the newest one. */
  readonly peek = (): Heartbeat =>
    fitting(heartbeatOf(this.#identity, this.#snapshot(), this.#sequence, this.#clock.now()));
}
