import { parseShardConfig, parseShardInstance } from '@shard-controller/shared/api';
import { rangesToSlots } from '@shard-controller/shared/hashing';
import { resourcePath } from '@shard-controller/shared/kubernetes';
import { productImages, WORKER_IMAGE } from '../../cluster/index.ts';
import { CUSTOM_RESOURCE_STATE, LABELS_ALLOWLIST } from '../../workload/index.ts';
import { type BenchPod, NAMESPACE, type Stage } from '../stage.ts';
import type { Contestant, ExporterOptions } from './contestant.ts';

/** Whether workers ask the API server to filter (KEP-5866): `PUSHDOWN` of the worker. */
export type Pushdown = 'off' | 'auto';

export interface ShardControllerOptions extends ExporterOptions {
  readonly shards: number;
  /** Default `auto`, as the worker's own. */
  readonly pushdown?: Pushdown;
}

/** A ShardConfig with its managers and workers. */
export class ShardController implements Contestant {
  readonly name: string;
  readonly service: string;
  readonly knowsWhenComplete = true;
  readonly #stage: Stage;
  readonly #options: ShardControllerOptions;
  #shards: number;

  constructor(stage: Stage, name: string, options: ShardControllerOptions) {
    this.#stage = stage;
    this.name = name;
    this.service = `${name}-metrics`;
    this.#options = options;
    this.#shards = options.shards;
  }

  async start(): Promise<void> {
    setPushdown(this.#stage, this.#options.pushdown ?? 'auto');
    const { metricAllowlist, resources } = this.#options;
    await this.#stage.apply({
      apiVersion: 'shard.io/v1',
      kind: 'ShardConfig',
      metadata: { name: this.name, namespace: NAMESPACE },
      spec: {
        mode: 'Manual',
        shards: this.#shards,
        minShards: 1,
        maxShards: 4,
        // Scrapers of an earlier measurement do not come back.
        handover: { scraperTTL: '10s' },
        exporter: {
          labelsAllowlist: LABELS_ALLOWLIST,
          customResourceState: CUSTOM_RESOURCE_STATE,
          ...(resources === undefined ? {} : { resources }),
          ...(metricAllowlist === undefined ? {} : { extraArgs: [`--metric-allowlist=${metricAllowlist.join(',')}`] }),
        },
      },
    });
  }

  /** The wanted shards are ready, own equal shares, and nothing moves. */
  async ready(): Promise<boolean> {
    const parsed = parseShardConfig(await this.#stage.cluster.admin.get(this.#path()));
    if (!parsed.ok) throw new Error(`ShardConfig ${this.name}: ${parsed.problems.join('; ')}`);
    const { metadata, status } = parsed.value;
    const is = (type: string, value: string): boolean =>
      status?.conditions?.some((condition) => condition.type === type && condition.status === value) ?? false;
    return (
      status?.observedGeneration === metadata.generation &&
      status?.shards === this.#shards &&
      status.readyShards === this.#shards &&
      (status.openMigrations ?? 0) === 0 &&
      is('Ready', 'True') &&
      is('Progressing', 'False') &&
      (await this.#isBalanced())
    );
  }

  pods(): Promise<readonly BenchPod[]> {
    return this.#stage.pods(`shard.io/config=${this.name}`);
  }

  async scale(shards: number): Promise<void> {
    this.#shards = shards;
    const contentType = 'application/merge-patch+json';
    await this.#stage.cluster.admin.patch(this.#path(), { spec: { shards } }, { contentType });
  }

  async remove(): Promise<void> {
    await this.#stage.remove(this.#path(), `shard.io/config=${this.name}`);
  }

  /** Slots of each shard, by the ShardInstances. */
  async #isBalanced(): Promise<boolean> {
    const path = resourcePath({ group: 'shard.io', version: 'v1', resource: 'shardinstances', namespace: NAMESPACE });
    const list = await this.#stage.cluster.admin.list(path);
    const counts: number[] = [];
    for (const item of list.items) {
      const parsed = parseShardInstance(item);
      if (!parsed.ok || parsed.value.spec.shardConfigRef.name !== this.name) continue;
      const { hashRanges, warmRanges, releaseRanges, slotCount } = parsed.value.spec;
      if (warmRanges.length > 0 || releaseRanges.length > 0) return false;
      if (hashRanges.length > 0) counts.push(rangesToSlots(hashRanges, slotCount).length);
    }
    return counts.length === this.#shards && Math.max(...counts) - Math.min(...counts) <= 1;
  }

  #path(): string {
    return resourcePath({
      group: 'shard.io',
      version: 'v1',
      resource: 'shardconfigs',
      namespace: NAMESPACE,
      name: this.name,
    });
  }
}

/** For workers that start from now on. */
function setPushdown(stage: Stage, pushdown: Pushdown): void {
  const image = productImages[WORKER_IMAGE];
  const program = typeof image === 'function' ? image() : image;
  if (program === undefined) throw new Error(`no program for the image ${WORKER_IMAGE}`);
  const worker = { ...program, env: { ...program.env, PUSHDOWN: pushdown } };
  for (const node of stage.cluster.nodes) node.setImages({ [WORKER_IMAGE]: worker });
}
