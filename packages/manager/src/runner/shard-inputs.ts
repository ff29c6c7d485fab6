import type { Replica, WorkerAddress } from '@shard-controller/shared/contracts';
import type { Clock } from '@shard-controller/shared/runtime';
import { type CommandContext, type ShardConfigState, shardsOf } from '../aggregate/index.ts';
import type { KindReport, WorkerNote } from '../effects/index.ts';
import type { ConfigIdentity } from '../naming/index.ts';
import type {
  ClusterView,
  ListeningPeriod,
  ShardSources,
  WorkerRegistry,
  WorkerSources,
} from '../observation/index.ts';
import { shardFigures } from './observed-commands.ts';

export interface ShardInputsOptions {
  readonly config: ConfigIdentity;
  readonly cluster: Pick<ClusterView, 'pod' | 'instanceStatusAt' | 'instanceReadAt'>;
  readonly registry: Pick<WorkerRegistry, 'view' | 'ping' | 'removed'>;
  readonly listening: Pick<ListeningPeriod, 'since'>;
  readonly clock: Clock;
}

/** Everything that is seen of the shards of one ShardConfig, from the API server and from NATS. */
export class ShardInputs {
  readonly #options: ShardInputsOptions;

  constructor(options: ShardInputsOptions) {
    this.#options = options;
  }

  of(state: ShardConfigState, shardId: string): ShardSources {
    const active = state.shards[shardId]?.active ?? 'a';
    return { ...this.#worker(shardId, active), other: this.#worker(shardId, active === 'a' ? 'b' : 'a') };
  }

  /** What the active workers last said of their load. */
  figures(state: ShardConfigState): Pick<CommandContext, 'objects' | 'progress'> {
    return shardFigures(state, (shardId) => this.of(state, shardId), this.#options.clock.monotonic());
  }

  /** What the workers that serve say is wrong with them. */
  notes(state: ShardConfigState): readonly WorkerNote[] {
    return shardsOf(state).flatMap(({ shardId, active }) => {
      const note = this.#worker(shardId, active).worker?.heartbeat.note;
      return note === undefined ? [] : [{ shardId, note }];
    });
  }

  /** Which kinds the workers that serve cannot read. */
  unavailableKinds(state: ShardConfigState): readonly KindReport[] {
    return shardsOf(state).flatMap(({ shardId, active }) => {
      const unavailable = this.#worker(shardId, active).worker?.heartbeat.unavailable;
      return unavailable === undefined ? [] : [{ shardId, unavailable }];
    });
  }

  /** A shard is gone: what its workers said does not count for the next one of this name. */
  removed(shardId: string): void {
    for (const replica of ['a', 'b'] as const) this.#options.registry.removed(this.#address(shardId, replica));
  }

  #worker(shardId: string, replica: Replica): WorkerSources {
    const { cluster, listening, registry } = this.#options;
    const { name, uid } = this.#options.config;
    const address = this.#address(shardId, replica);
    return {
      worker: registry.view(address, uid),
      ping: registry.ping(address),
      listeningSince: listening.since,
      pod: cluster.pod(name, shardId, replica),
      instanceStatusAt: cluster.instanceStatusAt(name, shardId, replica),
      instanceReadAt: cluster.instanceReadAt(name, shardId),
    };
  }

  #address(shardId: string, replica: Replica): WorkerAddress {
    const { namespace, name } = this.#options.config;
    return { namespace, config: name, shardId, replica };
  }
}
